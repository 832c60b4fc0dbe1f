package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// impatient returns a gateway whose server waits a second for a request.
func impatient(t *testing.T) scene {
	t.Helper()
	service := newPushServer(t)
	p := newProcess(t)
	p.start(strings.Replace(gatewayConfig(service.global("rejected memory"), "matrix_push"), "grace_period", "servers {\ntimeouts {\nread_body 1s\n}\n}\ngrace_period", 1))
	return scene{t, service, p, p.homeserver()}
}

// A body that comes one byte at a time is read, one that stops is given up, and neither delays other requests.
func TestSlowBodiesDisturbNobody(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	before := s.gateway.footprint()
	const idlers = 100
	conns := make([]*rawConn, idlers)
	for i := range conns {
		conns[i] = s.gateway.raw(t)
		head := s.gateway.post(s.gateway.port, "Content-Length: 250000") // each could take as much memory
		if i%2 == 1 {
			head = s.gateway.post(s.gateway.port, "Transfer-Encoding: chunked") + "3d090\r\n"
		}
		conns[i].send(head + `{"notification":{`)
	}
	// Meanwhile, others are served, one of them byte by byte.
	endpoint := s.service.Endpoint("slow")
	drip := s.gateway.raw(t)
	for _, b := range []byte(s.gateway.whole(alert("$slow", upDevice(endpoint)))) {
		drip.send(string(b))
	}
	wantBody(t, drip.answer(), nothingRejected)
	s.pushes(endpoint, 1)
	other := s.service.Endpoint("other")
	for i := range 20 {
		wantBody(t, s.hs.notify(alert(fmt.Sprint("$", i), upDevice(other))), nothingRejected)
	}
	s.pushes(other, 20)
	for i, conn := range conns {
		r := conn.answer()
		wantError(t, r, http.StatusBadRequest, "M_NOT_JSON")
		if t.Failed() {
			t.Fatalf("the idle body %d", i)
		}
		_ = conn.Close()
	}
	_ = drip.Close()
	s.gateway.returnsTo(before)
}

// A client that hangs up in the middle is noticed at once.
func TestAClientThatHangsUpInTheMiddleLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	before := s.gateway.footprint()
	endpoint := s.service.Endpoint("phone")
	whole := s.gateway.whole(alert("$1", upDevice(endpoint)))
	var clients sync.WaitGroup
	for cut := 1; cut < len(whole); cut += 7 {
		clients.Go(func() {
			conn := s.gateway.raw(t)
			conn.send(whole[:cut])
			_ = conn.Close()
		})
	}
	clients.Wait()
	s.gateway.returnsTo(before)
	s.pushes(endpoint, 0)
	wantBody(t, s.hs.notify(alert("$1", upDevice(endpoint))), nothingRejected)
	s.pushes(endpoint, 1)
}

// HTTP/2 has the length in its frames, too. If the Content-Length is wrong, the stream is ended, and the connection serves the next one.
func TestALengthThatIsWrongEndsItsHTTP2StreamAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for _, test := range []struct {
		name   string
		length func(body string) string
		sent   int // of the body
	}{
		{"more than announced", func(body string) string { return strconv.Itoa(len(body) - 1) }, -1},
		{"less than announced", func(body string) string { return strconv.Itoa(len(body) + 1) }, -1},
		{"nothing announced, and something sent", func(string) string { return "0" }, -1},
		{"something announced, and nothing sent", func(string) string { return "10" }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad, good := s.service.Endpoint("bad-"+strconv.Itoa(len(test.name))), s.service.Endpoint("good-"+strconv.Itoa(len(test.name)))
			c := s.gateway.http2(t)
			body := alert("$1", upDevice(bad))
			text := body
			if test.sent >= 0 {
				text = body[:test.sent]
			}
			c.post(1, text, "content-length", test.length(body))
			c.post(3, alert("$1", upDevice(good)))
			statuses := c.answers(1, 3)
			if status := statuses[1]; status != "reset" && status != "400" {
				t.Errorf("the wrong one is answered %s", status)
			}
			if statuses[3] != "200" {
				t.Errorf("the next one is answered %s", statuses[3])
			}
			s.pushes(good, 1)
			s.pushes(bad, 0)
		})
	}
}

// framed is an HTTP/2 connection whose frames a test writes itself.
type framed struct {
	t *testing.T
	*http2.Framer
}

func (p *process) http2(t *testing.T) *framed {
	t.Helper()
	conn := p.dial(t, "h2")
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := &framed{t, http2.NewFramer(conn, conn)}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// post writes a request in a new stream.
func (f *framed) post(stream uint32, body string, fields ...string) {
	f.t.Helper()
	canaries.sent([]byte(body))
	var head bytes.Buffer
	e := hpack.NewEncoder(&head)
	all := append([]string{
		":method", "POST", ":scheme", "https", ":authority", "gateway.test", ":path", "/_matrix/push/v1/notify",
	}, fields...)
	for i := 0; i < len(all); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true}); err != nil {
		f.t.Fatal(err)
	}
	if err := f.WriteData(stream, true, []byte(body)); err != nil {
		f.t.Fatal(err)
	}
}

// answers returns the answer on each of these streams: a status, or a reset.
func (f *framed) answers(streams ...uint32) map[uint32]string {
	f.t.Helper()
	answered := make(map[uint32]string)
	for len(answered) < len(streams) {
		frame, err := f.ReadFrame()
		if err != nil {
			f.t.Fatalf("after %v: %v", answered, err)
		}
		id := frame.Header().StreamID
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			if answered[id] == "" {
				answered[id] = "reset"
			}
		case *http2.MetaHeadersFrame:
			answered[id] = frame.PseudoValue("status")
		case *http2.GoAwayFrame:
			f.t.Fatalf("after %v the connection ends: %v", answered, frame)
		}
	}
	return answered
}
