package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// How requests arrive, A18 to A22 of docs/acceptance.md.

func TestA18_AnyContentTypeIsAccepted(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for i, contentType := range []string{
		"", "application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", "application/x-www-form-urlencoded",
		"multipart/form-data", "no type at all",
	} {
		t.Run(contentType, func(t *testing.T) {
			endpoint := s.service.Endpoint(strconv.Itoa(i))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.gateway.url(), strings.NewReader(alert("$1", upDevice(endpoint))))
			if err != nil {
				t.Fatal(err)
			}
			if contentType != "" {
				req.Header.Set("Content-Type", contentType)
			}
			resp, err := s.hs.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("answered %s", resp.Status)
			}
			s.pushes(endpoint, 1)
		})
	}
}

func TestA19_ATrailingSlashIsNotTheEndpoint(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	r, err := s.hs.do(http.MethodPost, s.gateway.url()+"/", alert("$1", upDevice(endpoint)))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, r, http.StatusNotFound, "M_UNRECOGNIZED")
	s.pushes(endpoint, 0)
}

func TestA20_AKeptConnectionOutlivesSynapsesPool(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "route {\nmatrix_push\ne2e_idle_timeout\n}")
	r, err := s.hs.do(http.MethodGet, strings.Replace(s.gateway.url(), "/_matrix/push/", "/idle/", 1), "")
	if err != nil {
		t.Fatal(err)
	}
	// Synapse keeps idle connections for 120 s, and counts a request on one that was just closed as a failed push.
	if idle, err := time.ParseDuration(r.Body); err != nil || idle <= 120*time.Second {
		t.Errorf("an idle connection is closed after %q", r.Body)
	}
}

func TestA21_HTTP1AndHTTP2AreSpoken(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for _, major := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", major), func(t *testing.T) {
			endpoint := s.service.Endpoint(strconv.Itoa(major))
			client := s.gateway.client(major == 2)
			for i := range 3 {
				body := alert(fmt.Sprintf("$%d", i), upDevice(endpoint))
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.gateway.url(), strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				answer, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.ProtoMajor != major || resp.StatusCode != http.StatusOK || string(answer) != nothingRejected {
					t.Errorf("%s answered %s %s, %v", resp.Proto, resp.Status, answer, err)
				}
			}
			s.pushes(endpoint, 3)
		})
	}
}

// plaintextHead is the head of a configuration with both providers and more global options.
func plaintextHead(service *pushServer, options string) string {
	return strings.Replace(head, "{global}", options+"\nmatrix_push {\n"+service.global("rejected memory")+"\n}", 1)
}

func TestA22_PlaintextIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	p := newProcess(t)
	p.start(plaintextHead(service, "http_port {port2}") + "https://gateway.test:{port} {\n" + certificate + "\nmatrix_push\n}\n")
	// A server speaks plaintext on the HTTP port, whatever it speaks on other ports. Only JSON can put a site on both.
	if err := p.set("apps/http/servers/srv0/listen", fmt.Sprintf(`":%d"`, p.port2)); err != nil {
		t.Fatal(err)
	}
	endpoint := service.Endpoint("phone")
	body := alert("$1", upDevice(endpoint))
	whole := p.post(p.port2, "Content-Length: "+strconv.Itoa(len(body))) + body
	for _, test := range []struct{ name, request string }{
		{"the whole request", whole},
		{"a body that does not come", p.post(p.port2, "Content-Length: 1000")},
		{"half a body", whole[:len(whole)-10]},
		{"chunks that do not end", p.post(p.port2, "Transfer-Encoding: chunked") + "2\r\n{}\r\n"},
		{"a body to be asked for", p.post(p.port2, "Content-Length: 1000", "Expect: 100-continue")},
		{"a header that claims TLS", p.post(p.port2, "Content-Length: 1000", "X-Forwarded-Proto: https")},
		{"another path", strings.Replace(whole, "/v1/", "/v2/", 1)},
		{"GET", strings.Replace(whole, "POST", "GET", 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, speak(t, p.port2, false, test.request), http.StatusForbidden, "M_FORBIDDEN")
		})
	}
	if n := len(service.Messages(endpoint)); n != 0 {
		t.Errorf("%d pushes were sent", n)
	}
	wantBody(t, p.homeserver().notify(body), nothingRejected) // over TLS
}

func TestA22_AConfigurationThatCouldOnlyServePlaintextFailsToLoad(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for name, block := range map[string]string{"by default": "", "by its option": "{\nplaintext refuse\n}"} {
		t.Run(name, func(t *testing.T) {
			err := s.gateway.load(plaintextHead(s.service, "") + "http://gateway.test:{port2} {\nmatrix_push " + block + "\n}\n")
			if err == nil || !strings.Contains(err.Error(), "never speaks TLS") {
				t.Errorf("loading it: %v", err)
			}
		})
	}
	wantBody(t, s.hs.notify(alert("$1", upDevice(s.service.Endpoint("phone")))), nothingRejected) // the old one still serves
}

func TestA22_OnlyATrustedProxyMayVouchForTLS(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	p := newProcess(t)
	site := " {\nmatrix_push {\nplaintext trusted_proxy\n}\n}\n"
	p.start(plaintextHead(service, "servers :{port} {\ntrusted_proxies static 127.0.0.1/32\n}\nservers :{port2} {\ntrusted_proxies static 192.0.2.1/32\n}") +
		"http://gateway.test:{port}" + site + "http://gateway.test:{port2}" + site)
	proxies := map[string]struct {
		port   int
		header []string
		secure bool
	}{
		"a trusted proxy that says https":            {p.port, []string{"X-Forwarded-Proto: https"}, true},
		"a trusted proxy that shouts it":             {p.port, []string{"X-Forwarded-Proto: HTTPS"}, true},
		"a trusted proxy that says http":             {p.port, []string{"X-Forwarded-Proto: http"}, false},
		"a trusted proxy that says nothing":          {p.port, nil, false},
		"a trusted proxy that says both":             {p.port, []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, false},
		"a trusted proxy that says both in a list":   {p.port, []string{"X-Forwarded-Proto: https, http"}, false},
		"proxies that all say https (waitress#442)":  {p.port, []string{"X-Forwarded-Proto: https, https"}, true},
		"proxies that say it in separate fields":     {p.port, []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: HTTPS ,https"}, true},
		"a trusted proxy that says an empty element": {p.port, []string{"X-Forwarded-Proto: https,"}, false},
		"a stranger who says https":                  {p.port2, []string{"X-Forwarded-Proto: https"}, false},
		"a stranger who says to come from a proxy":   {p.port2, []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1"}, false},
		"a stranger who says it in another header":   {p.port2, []string{"Forwarded: proto=https", "X-Forwarded-Ssl: on"}, false},
		"a stranger who says nothing":                {p.port2, nil, false},
		"a trusted proxy with another header":        {p.port, []string{"Forwarded: proto=https"}, false},
		"a trusted proxy that forwards a forwarded":  {p.port, []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7"}, true},
	}
	for i, name := range slices.Sorted(maps.Keys(proxies)) {
		test := proxies[name]
		t.Run(name, func(t *testing.T) {
			endpoint := service.Endpoint(strconv.Itoa(i))
			body := alert("$1", upDevice(endpoint))
			r := speak(t, test.port, false, p.post(test.port, append(test.header, "Content-Length: "+strconv.Itoa(len(body)))...)+body)
			if !test.secure {
				wantError(t, r, http.StatusForbidden, "M_FORBIDDEN")
			} else {
				wantBody(t, r, nothingRejected)
			}
			if n := len(service.Messages(endpoint)); (n > 0) != test.secure {
				t.Errorf("%d pushes were sent", n)
			}
		})
	}
}

func TestA22_PlaintextMayBeAllowed(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	p := newProcess(t)
	p.start(plaintextHead(service, "") + "http://gateway.test:{port} {\nmatrix_push {\nplaintext allow\n}\n}\n")
	endpoint := service.Endpoint("phone")
	hs := p.homeserver()
	hs.url = strings.Replace(hs.url, "https:", "http:", 1)
	wantBody(t, hs.notify(alert("$1", upDevice(endpoint))), nothingRejected)
	if n := len(service.Messages(endpoint)); n != 1 {
		t.Errorf("%d pushes were sent", n)
	}
}
