package e2e

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

// Reported of Sygnal (sygnal#345, sygnal#31, synapse#9136; G12): a homeserver that posts to a wrong path got an empty 200 from Caddy.
func TestAPostThatNoHandlerAnswersIsNotTakenForADelivery(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory"), "matrix_push")
	hs, base := gateway.homeserver(), strings.TrimSuffix(gateway.url(), "/_matrix/push/v1/notify")
	endpoint := service.Endpoint("phone")
	for _, path := range []string{"/", "/v1/notify", "/notify", "/push/_matrix/push/v1/notify", "/_matrix/push", "/_matrix/push/v2/notify", "/xmlrpc.php"} {
		r, err := hs.do(http.MethodPost, base+path, alert("$1", upDevice(endpoint)))
		if err != nil {
			t.Fatal(err)
		}
		if wantError(t, r, http.StatusNotFound, "M_UNRECOGNIZED"); t.Failed() {
			t.Errorf("at %s", path)
		}
		if r, err := hs.do(http.MethodGet, base+path, ""); strings.HasPrefix(path, "/_matrix/push/") == (r.Status == http.StatusOK) || err != nil {
			t.Errorf("GET %s is answered %d %s, %v", path, r.Status, r.Body, err)
		}
	}
	if r, err := hs.do(http.MethodPut, gateway.url(), alert("$1", upDevice(endpoint))); err != nil || r.Status != http.StatusMethodNotAllowed {
		t.Errorf("PUT is answered %d, %v", r.Status, err)
	}
	if n := len(service.Messages(endpoint)); n != 0 {
		t.Errorf("%d pushes were sent", n)
	}
	site := fmt.Sprintf("gateway.test on :%d", gateway.port)
	gateway.wantRefused(map[string]refusedLine{
		"no_path " + site:    {Status: 404, From: "127.0.0.1", Proto: "(absent)", Path: "/", Error: "there is no such endpoint"},
		"wrong_path " + site: {Status: 404, From: "127.0.0.1", Proto: "(absent)", Path: "/v1/notify", Error: "there is no such endpoint"},
	})
	gateway.wantCounters(samples{
		`caddy_matrix_push_notifications_refused_total{reason="no_path"}`:      1,
		`caddy_matrix_push_notifications_refused_total{reason="wrong_path"}`:   5,
		`caddy_matrix_push_notifications_refused_total{reason="wrong_method"}`: 1,
	})
}

// Caddy logs a request that no handler answered as a NOP. This one has an answer.
func TestTheAccessLogShowsThatSuchAPostWasAnswered(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t, newPushServer(t).global("rejected memory"), "log\nmatrix_push")
	r, err := gateway.homeserver().do(http.MethodPost, strings.Replace(gateway.url(), "/_matrix/push/v1", "", 1), "{}")
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, r, http.StatusNotFound, "M_UNRECOGNIZED")
	gateway.wantLogged(`"logger":"http.log.access`)
	if log := gateway.log.String(); !strings.Contains(log, `"msg":"handled request"`) || strings.Contains(log, `"msg":"NOP"`) {
		t.Errorf("the log is %s", log)
	}
}

// answerOf is all that a client sees of an answer.
type answerOf struct {
	status         int
	body, trailers string
	early          int // answers of status 103
	header         string
}

func (h *homeserver) seen(method, url string) (a answerOf) {
	h.t.Helper()
	ctx := httptrace.WithClientTrace(h.t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		a.early++
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(""))
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(body) == largeBody {
		body = []byte("large")
	}
	resp.Header.Del("Date")
	a.status, a.body, a.trailers, a.header = resp.StatusCode, string(body), fmt.Sprint(resp.Trailer), fmt.Sprint(resp.Header)
	return a
}

// Each request is made to a site with the gateway in front of another handler, and to a site with only that handler.
func TestWhatTheHandlersBehindTheGatewayAnswerIsUnchanged(t *testing.T) {
	t.Parallel()
	service, p := newPushServer(t), newProcess(t)
	behind := "e2e_answering\n}\nhandle_errors {\nrespond \"handled {err.status_code}\" {err.status_code}\n}\n"
	p.start(strings.Replace(head, "{global}", "matrix_push {\n"+service.global("rejected memory\noutbox off")+"\n}", 1) +
		"https://gateway.test:{port} {\n" + certificate + "\nroute {\nmatrix_push\nrespond /empty \"\"\n" + behind + "}\n" +
		"https://other.test:{port} {\n" + certificate + "\nroute {\nrespond /empty \"\"\n" + behind + "}\n")
	for _, http2 := range []bool{false, true} {
		hs := &homeserver{t: t, client: p.client(http2)}
		for query, want := range map[string]answerOf{
			"/?nothing":       {status: 200}, // it means its empty 200
			"/?200":           {status: 200},
			"/?204":           {status: 204},
			"/?write":         {status: 200, body: "written"},
			"/?early+write":   {status: 200, body: "written", early: 1},
			"/?early+204":     {status: 204, early: 1},
			"/?flush":         {status: 200},
			"/?write+flush":   {status: 200, body: "written"},
			"/?flush+write":   {status: 200, body: "written"},
			"/?large":         {status: 200, body: "large"},
			"/?flush+large":   {status: 200, body: "large"},
			"/?trailer":       {status: 200, body: "summed", trailers: "map[X-Sum:[42]]"},
			"/?error":         {status: 418, body: "handled 418"},
			"/?early+error":   {status: 418, body: "handled 418", early: 1},
			"/?write+next":    {status: 200, body: "written"},
			"/?204+next":      {status: 204},
			"/?flush+next":    {status: 200},
			"/?large+next":    {status: 200, body: "large"},
			"/?next+error":    {status: 418, body: "handled 418"},
			"/notify?nothing": {status: 200},
			"/empty":          {status: 200},
		} {
			path := fmt.Sprintf(":%d%s", p.port, query)
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPut} {
				with, without := hs.seen(method, "https://gateway.test"+path), hs.seen(method, "https://other.test"+path)
				if with != without {
					t.Errorf("%s %s, HTTP/2: %v: with the gateway in front, the answer is %+v; without it, %+v", method, query, http2, with, without)
				}
				with.header = ""
				if want.trailers == "" {
					want.trailers = "map[]"
				}
				if with != want {
					t.Errorf("%s %s, HTTP/2: %v: the answer is %+v, want %+v", method, query, http2, with, want)
				}
			}
		}
		for query, early := range map[string]int{"/?next": 0, "/?early+next": 1} {
			url := fmt.Sprintf("https://gateway.test:%d%s", p.port, query)
			if a := hs.seen(http.MethodPost, url); a.status != http.StatusNotFound || !strings.Contains(a.body, "M_UNRECOGNIZED") || a.early != early {
				t.Errorf("POST %s, HTTP/2: %v: the answer is %+v", query, http2, a)
			}
			if a := hs.seen(http.MethodGet, url); a.status != http.StatusOK || a.body != "" {
				t.Errorf("GET %s, HTTP/2: %v: the answer is %+v", query, http2, a)
			}
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		conn := p.raw(t)
		conn.send(method + " /?hijack HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: e2e\r\nContent-Length: 0\r\n\r\n")
		resp, err := http.ReadResponse(conn.answers, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: the upgrade is answered %+v, %v", method, resp, err)
		}
		_, _ = io.WriteString(conn, "hello\n")
		if rest, err := io.ReadAll(conn.answers); err != nil || string(rest) != "echo hello\n" {
			t.Errorf("%s: after the upgrade, %q came, %v", method, rest, err)
		}
	}
}

// A push server's clients listen on a websocket behind the gateway.
func TestAWebsocketThroughTheProxyBehindTheGatewayIsUnchanged(t *testing.T) {
	t.Parallel()
	service, p := newPushServer(t), newProcess(t)
	p.start(strings.Replace(head, "{global}", "matrix_push {\n"+service.global("rejected memory\noutbox off")+"\n}", 1) +
		"https://gateway.test:{port} {\n" + certificate + "\nlog\nmatrix_push\nreverse_proxy 127.0.0.1:{port2}\n}\n" +
		"http://:{port2} {\nroute {\ne2e_answering\n}\n}\n")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		conn := p.raw(t)
		conn.send(method + " /?hijack HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: e2e\r\nContent-Length: 0\r\n\r\n")
		resp, err := http.ReadResponse(conn.answers, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: the upgrade is answered %+v, %v", method, resp, err)
		}
		_, _ = io.WriteString(conn, "hello\n")
		if line, err := bufio.NewReader(conn.answers).ReadString('\n'); err != nil || line != "echo hello\n" {
			t.Errorf("%s: after the upgrade, %q came, %v", method, line, err)
		}
	}
}

// wantCounters wants these values of counters.
func (p *process) wantCounters(want samples) {
	p.t.Helper()
	_, got := p.scrape()
	maps.DeleteFunc(got, func(name string, _ float64) bool { _, ok := want[name]; return !ok })
	if !maps.Equal(got, want) {
		p.t.Errorf("counted are %v, want %v", got, want)
	}
}
