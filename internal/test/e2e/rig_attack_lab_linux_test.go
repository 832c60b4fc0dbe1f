package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// attackLab is a gateway with the configuration that most operators have. Every address of its network is this machine's, public addresses
// too. On port 443 of each is a push server, whose answer depends on the path of the endpoint:
//
//	/201/…       takes the push; other statuses work the same way
//	/after/50/…  takes it after 50 ms
//	/slow/…      answers nothing until the client gives up
//	/late/…      takes it until delay is called for its host, and is like /slow/ from then on
//
// Its certificate is for the name that the client asks for, from the authority that the gateway trusts.
type attackLab struct {
	t       *testing.T
	names   *nameserver
	ca      *providertest.CA
	gateway *process

	closing chan struct{}

	mu           sync.Mutex
	changed      chan struct{} // closed and replaced at each change
	pushes       map[string]int
	answers      map[string]int // replaces the answer of the path, by host and path
	slow, down   map[string]bool
	certificates map[string]*tls.Certificate
	connections  map[netip.Addr]*openConnections
	hosts        map[string]map[net.Conn]bool
	private      []netip.AddrPort
}

// openConnections has the connections to an address.
type openConnections struct{ now, most int }

func newAttackLab(t *testing.T) *attackLab {
	t.Helper()
	l := &attackLab{
		t: t, names: newNameserver(t), ca: providertest.NewCA(t), gateway: newProcess(t), closing: make(chan struct{}),
		changed: make(chan struct{}), pushes: make(map[string]int), answers: make(map[string]int), slow: make(map[string]bool),
		down: make(map[string]bool), certificates: make(map[string]*tls.Certificate), connections: make(map[netip.Addr]*openConnections),
		hosts: make(map[string]map[net.Conn]bool),
	}
	// The environment of the test must not affect the gateway.
	l.gateway.env = append(l.gateway.env, resolver+"="+l.names.conn.LocalAddr().String(), "HTTPS_PROXY=", "https_proxy=")
	listener, err := net.Listen("tcp", ":443")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:   received(l),
		TLSConfig: &tls.Config{GetCertificate: l.certificate, MinVersion: tls.VersionTLS12},
		ErrorLog:  log.New(io.Discard, "", 0), // broken connections are expected
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.ServeTLS(countingListener{listener, l}, "", "")
	}()
	t.Cleanup(func() {
		close(l.closing)
		_ = server.Close()
		<-served
	})
	return l
}

// start runs the gateway: with UnifiedPush for every app, and Web Push for those whose app_id begins with web.
func (l *attackLab) start(options, sites string) {
	l.t.Helper()
	l.startWith(`
		app * {
			unifiedpush {
				trusted_ca `+l.ca.File+`
			}
		}
		app web.* {
			webpush {
				vapid_subject mailto:ops@example.org
				trusted_ca `+l.ca.File+`
			}
		}
		`+options, sites)
}

// startWith runs the gateway with a matrix_push block. The rest of the configuration keeps the process within the test's folder.
func (l *attackLab) startWith(global, sites string) {
	l.t.Helper()
	config := strings.NewReplacer("{global}", "matrix_push {\n"+global+"\n}", "\tdebug\n", "").Replace(head)
	l.gateway.start(subscribed(config + "https://gateway.test:{port} {\n" + certificate + "\nmatrix_push\n}\n" + sites))
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// countingListener notes the connections to each address.
type countingListener struct {
	net.Listener
	lab *attackLab
}

func (c countingListener) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	to := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	l := c.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	if to.Addr().IsPrivate() || to.Addr().IsLoopback() || to.Addr().IsLinkLocalUnicast() {
		l.private = append(l.private, to)
	}
	open := l.connections[to.Addr()]
	if open == nil {
		open = new(openConnections)
		l.connections[to.Addr()] = open
	}
	open.now++
	open.most = max(open.most, open.now)
	l.announce()
	return &countedConn{Conn: conn, ended: sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		open.now--
		l.announce()
	})}, nil
}

type countedConn struct {
	net.Conn
	ended func()
}

func (c *countedConn) Close() error {
	c.ended()
	return c.Conn.Close()
}

// certificate returns a certificate for the name or the address that a client asks for. A host that is down has none.
func (l *attackLab) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := hello.ServerName
	if host == "" {
		host = hello.Conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().String()
	}
	l.mu.Lock()
	known, down := l.certificates[host], l.down[host]
	l.mu.Unlock()
	if down {
		return nil, errors.New("the host is down")
	}
	if known != nil {
		return known, nil
	}
	made := l.ca.Certificate(l.t, host)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.certificates[host] = &made
	return &made, nil
}

// ServeHTTP gives the answer of the path.
func (l *attackLab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if l.came(r) { // the host went down between two requests of a connection
		panic(http.ErrAbortHandler)
	}
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	l.mu.Lock()
	status, slow := l.answers[r.Host+r.URL.Path], l.slow[r.Host]
	l.mu.Unlock()
	switch {
	case status != 0:
	case parts[0] == "slow", parts[0] == "late" && slow:
		select {
		case <-r.Context().Done():
		case <-l.closing:
		}
		panic(http.ErrAbortHandler)
	case parts[0] == "late":
		w.Header().Set("Connection", "close") // the next push needs a new connection
		status = http.StatusCreated
	case parts[0] == "after":
		milliseconds, err := strconv.Atoi(parts[1])
		if err != nil {
			l.t.Errorf("no duration in %s", r.URL.Path)
		}
		select {
		case <-time.After(time.Duration(milliseconds) * time.Millisecond):
		case <-r.Context().Done():
		}
		status = http.StatusCreated
	default:
		var err error
		if status, err = strconv.Atoi(parts[0]); err != nil {
			l.t.Errorf("no status in %s", r.URL.Path)
			status = http.StatusInternalServerError
		}
	}
	switch status {
	case http.StatusFound:
		w.Header().Set("Location", "https://elsewhere.example/")
	case http.StatusTeapot: // stands for a 503 with a long Retry-After
		w.Header().Set("Retry-After", "3600")
		status = http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	if status == http.StatusCreated {
		l.took(r)
	}
}

// came records a push's connection, and reports whether the host is down.
func (l *attackLab) came(r *http.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pushes["tried "+r.Host+r.URL.Path]++
	conn := r.Context().Value(connKey{}).(net.Conn)
	if l.hosts[r.Host] == nil {
		l.hosts[r.Host] = make(map[net.Conn]bool)
	}
	l.hosts[r.Host][conn] = true
	l.announce()
	return l.down[r.Host]
}

// took records that a push was taken.
func (l *attackLab) took(r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pushes[r.Host+r.URL.Path]++
	l.announce()
}

// announce wakes those who wait for changes. The lock must be held.
func (l *attackLab) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits until a condition holds, or for the given time, and reports whether it holds. The lock is held when the condition is checked.
func (l *attackLab) await(patience time.Duration, condition func() bool) bool {
	over := time.After(patience)
	for {
		l.mu.Lock()
		holds, changed := condition(), l.changed
		l.mu.Unlock()
		if holds {
			return true
		}
		select {
		case <-changed:
		case <-over:
			return false
		}
	}
}

// taken returns how many pushes an endpoint took, and tried how many arrived there.
func (l *attackLab) taken(endpoint string) int {
	return l.count(strings.TrimPrefix(endpoint, "https://"))
}

func (l *attackLab) tried(endpoint string) int {
	return l.count("tried " + strings.TrimPrefix(endpoint, "https://"))
}

// moreTaken and moreTried are conditions for await: the endpoint took more pushes than the number, or more arrived there.
func (l *attackLab) moreTaken(endpoint string, than int) func() bool {
	return func() bool { return l.pushes[strings.TrimPrefix(endpoint, "https://")] > than }
}

func (l *attackLab) moreTried(endpoint string, than int) func() bool {
	return func() bool { return l.pushes["tried "+strings.TrimPrefix(endpoint, "https://")] > than }
}

func (l *attackLab) count(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pushes[key]
}

// answer sets the status of an endpoint's answers, whatever its path is.
func (l *attackLab) answer(endpoint string, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[strings.TrimPrefix(endpoint, "https://")] = status
}

// delay stops the answers of the host's endpoints below /late/.
func (l *attackLab) delay(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow[host] = true
}

// takeDown breaks a host's connections and lets all TLS handshakes fail. bringUp lets the host work again.
func (l *attackLab) takeDown(host string) {
	l.mu.Lock()
	l.down[host] = true
	conns := l.hosts[host]
	l.hosts[host] = nil
	l.mu.Unlock()
	for conn := range conns {
		_ = conn.Close()
	}
}

func (l *attackLab) bringUp(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down[host] = false
}

// open returns how many connections to an address there are, and how many there were at most.
func (l *attackLab) open(address string) (now, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if open := l.connections[netip.MustParseAddr(address)]; open != nil {
		return open.now, open.most
	}
	return 0, 0
}

// wantNoPrivateConnection wants no connections to the push server at addresses that are not public.
func (l *attackLab) wantNoPrivateConnection() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.private) > 0 {
		l.t.Errorf("there were connections to %v", l.private)
	}
}

// wantFewLines wants at most a hundred log lines and events a minute because of strangers, plus a summary and lines with other causes.
func (l *attackLab) wantFewLines(minutes int) {
	l.t.Helper()
	lines, events := l.gateway.logged()
	wantBelow(l.t, "lines in the log", len(lines), minutes*100+50)
	wantBelow(l.t, "events", len(events), minutes*100+50)
}

// retried has all pending pushes retried at once, until a condition holds. Pushes that are being tried are not retried.
func (l *attackLab) retried(condition func() bool) bool {
	l.t.Helper()
	for over := time.Now().Add(lost); time.Now().Before(over); {
		if status, answer := l.gateway.adminDo(http.MethodPost, "/matrix_push/outbox/retry", `{"app":"*"}`); status != http.StatusOK {
			l.t.Fatalf("answered %d %s", status, answer)
		}
		if l.await(100*time.Millisecond, condition) {
			return true
		}
	}
	return false
}

// certified makes the gateway's sites use {dir}/own.pem and {dir}/own.key, from the authority that its pushes trust.
func (l *attackLab) certified(hosts ...string) {
	l.t.Helper()
	cert := l.ca.Certificate(l.t, hosts...)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		l.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"own.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "own.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(l.gateway.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}
