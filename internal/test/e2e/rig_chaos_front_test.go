package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// front is a server in front of a push service that verifies what it gets. It treats each connection according to the next plan. For each
// push, it records whether the service took it, and whether the answer got through.
type front struct {
	*evidence
	URL, CAFile string
	service     http.Handler
	// push reads the device and the event from a request. It returns no device if the request is not a push.
	push  func(path string, body []byte) (device, event string)
	tally *tally

	listener net.Listener
	running  sync.WaitGroup

	mu        sync.Mutex
	calm      chan struct{} // closed as long as connections must have no faults
	deck      deck
	trusted   []*providertest.CA // in turn
	stranger  tls.Certificate
	elsewhere tls.Certificate
	issued    int
	conns     map[*brittle]bool
}

// newFront opens the port of a front without faults.
func newFront(v *evidence, counts *tally, d deck, push func(path string, body []byte) (device, event string)) *front {
	t := v.t
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{
		evidence: v, URL: "https://" + listener.Addr().String(), CAFile: filepath.Join(t.TempDir(), "ca.pem"), push: push, tally: counts,
		listener: listener, calm: make(chan struct{}), conns: make(map[*brittle]bool), deck: d,
		trusted: []*providertest.CA{providertest.NewCA(t), providertest.NewCA(t)},
	}
	close(f.calm)
	f.stranger = providertest.NewCA(t).Certificate(t, "127.0.0.1")
	f.elsewhere = f.trusted[0].Certificate(t, "elsewhere.test")
	var bundle []byte
	for _, ca := range f.trusted {
		bundle = append(bundle, readFile(t, ca.File)...)
	}
	if err := os.WriteFile(f.CAFile, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *front) serve(service http.Handler) {
	f.service = service
	f.running.Go(func() {
		for {
			conn, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { f.handle(conn.(*net.TCPConn)) })
		}
	})
	f.t.Cleanup(func() {
		_ = f.listener.Close()
		f.hangUp()
		f.running.Wait()
	})
}

// hangUp breaks all connections.
func (f *front) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		_ = conn.Close()
	}
}

// storm starts the faults of connections. Open connections end.
func (f *front) storm() {
	f.mu.Lock()
	f.calm = make(chan struct{})
	f.mu.Unlock()
	f.hangUp()
}

// settle ends the faults. Connections with a fault end soon, since each has a limited time.
func (f *front) settle() {
	close(f.calm)
	f.await("the last of the bad connections has ended", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for conn := range f.conns {
			if conn.plan.name != "" {
				return false
			}
		}
		return true
	})
}

// accepted returns a new connection with its plan and a new certificate. Two authorities sign the certificates in turn.
func (f *front) accepted(socket *net.TCPConn) (*brittle, tls.Certificate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := new(plan)
	select {
	case <-f.calm:
	default:
		p = f.deck.next()
	}
	conn := newBrittle(socket, p, f.calm, sync.OnceFunc(func() { f.tally.add(p.name) }))
	f.conns[conn] = true
	switch p.handshake {
	case aStranger:
		return conn, f.stranger
	case anotherName:
		return conn, f.elsewhere
	}
	f.issued++
	f.tally.add(rotated)
	return conn, f.trusted[f.issued%len(f.trusted)].Certificate(f.t, "127.0.0.1")
}

func (f *front) handle(socket *net.TCPConn) {
	conn, certificate := f.accepted(socket)
	p := conn.plan
	defer func() {
		_ = conn.Close()
		f.mu.Lock()
		delete(f.conns, conn)
		f.mu.Unlock()
		f.evidence.mu.Lock()
		defer f.evidence.mu.Unlock()
		f.announce()
	}()
	if p.handshake != inOrder {
		conn.befell()
	}
	if p.handshake == notTLS {
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		conn.part()
		return
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}}
	if p.http1 {
		config.NextProtos = []string{"http/1.1"}
	}
	secured := tls.Server(conn, config)
	if err := secured.HandshakeContext(context.Background()); err != nil {
		return
	}
	if p.http1 {
		(&http1{front: f, conn: secured, raw: conn}).run()
	} else {
		newSession(f, secured, conn).run()
	}
}

// ask passes a request to the service, and returns its answer and what to record. It records nothing if the request is not a push.
func (f *front) ask(p *plan, befell func(), r *http.Request, body []byte) (*httptest.ResponseRecorder, *checker.Push) {
	answer := httptest.NewRecorder()
	device, event := f.push(r.URL.Path, body)
	if p.status != 0 {
		befell()
		answer.Header().Set("Retry-After", p.retryAfter)
		answer.WriteHeader(p.status)
	} else {
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.service.ServeHTTP(answer, r)
	}
	if device == "" {
		return answer, nil
	}
	push := &checker.Push{Time: time.Now(), Device: device, Event: event}
	switch answer.Code {
	case http.StatusOK, http.StatusCreated:
		push.Taken = true
	case http.StatusGone, http.StatusNotFound:
		push.Dead = true
	default:
		if p.status == 0 {
			f.t.Errorf("the push service answers %d %s", answer.Code, answer.Body)
		}
	}
	return answer, push
}

// became records a push, and whether its answer got through.
func (f *front) became(push *checker.Push, answered bool) {
	if push == nil {
		return
	}
	push.Cut = push.Taken && !answered
	push.Dead = push.Dead && answered
	f.pushed(*push)
}

// forwarded returns a service that is a separate server.
func forwarded(t *testing.T, url, caFile string) http.Handler {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(readFile(t, caFile))
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(context.Background(), r.Method, url+r.URL.RequestURI(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = r.Header.Clone()
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Errorf("the push service does not answer: %v", err)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
}
