package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// unreliable is a push server whose UnifiedPush endpoints behave as a test sets them. It records what they did.
type unreliable struct {
	*pushServer
	*evidence

	mu         sync.Mutex
	behaviours map[string]*behaviour // by path; "" is for all other paths
	came       map[string]int        // the number of pushes that were ever held, by path
	unread     map[string][]int      // the counts of the taken badge updates, by path
	busy       map[int]bool          // the pushes in progress
	begun      int                   // the number of pushes so far
	hungUp     int                   // how often hangUp was called
}

// behaviour is how an endpoint treats pushes. The zero value takes them.
type behaviour struct {
	// status is the answer instead of taking the push; 0 takes it.
	status     int
	retryAfter string
	// dropped breaks the connection instead of answering, and cut takes the push first.
	dropped, cut bool
	// until holds pushes until it is closed. Then the behaviour at that time decides about them.
	until <-chan struct{}
}

// hasToWait makes a device's pushes wait for a second. With a 429 to three devices, the gateway would pause the host for a minute. With a
// 5xx, it would consider the host down.
var hasToWait = behaviour{status: http.StatusConflict, retryAfter: "1"}

func newUnreliable(t *testing.T) *unreliable {
	t.Helper()
	u := &unreliable{
		evidence: newEvidence(t), behaviours: make(map[string]*behaviour), came: make(map[string]int), unread: make(map[string][]int),
		busy: make(map[int]bool),
	}
	service := providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true})
	ca := providertest.NewCA(t)
	server := &providertest.TLSServer{Server: httptest.NewUnstartedServer(received(u)), CA: ca, CAFile: ca.File}
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, "127.0.0.1", "localhost")}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog, server.Config.ConnContext = log.New(io.Discard, "", 0), u.connected
	server.StartTLS()
	t.Cleanup(server.Close)
	service.SetOrigin(server.URL)
	t.Cleanup(service.Close)
	u.pushServer = &pushServer{service, server}
	return u
}

// set changes the behaviour of a device's endpoint. Without a device, it changes that of all endpoints that have no behaviour.
func (u *unreliable) set(m behaviour, devices ...device) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(devices) == 0 {
		u.behaviours[""] = &m
	}
	for _, d := range devices {
		u.behaviours[pathOf(d.Pushkey)] = &m
	}
}

// hold holds the pushes for these devices, or all pushes, until release is called or the test ends. release may be called again.
func (u *unreliable) hold(devices ...device) (release func()) {
	until := make(chan struct{})
	release = sync.OnceFunc(func() {
		u.set(behaviour{}, devices...)
		close(until)
	})
	u.set(behaviour{until: until}, devices...)
	u.t.Cleanup(release)
	return release
}

// hangs records that a push is held.
func (u *unreliable) hangs(path string) {
	u.mu.Lock()
	u.came[path]++
	u.mu.Unlock()
	u.evidence.mu.Lock()
	defer u.evidence.mu.Unlock()
	u.announce()
}

// arrived waits until a push for a device is held, or has been held.
func (u *unreliable) arrived(d device) {
	u.t.Helper()
	u.await("a push for "+d.Pushkey+" is held", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.came[pathOf(d.Pushkey)] > 0
	})
}

func pathOf(endpoint string) string {
	req, err := http.NewRequest(http.MethodPost, endpoint, nil)
	if err != nil {
		panic(err)
	}
	return req.URL.Path
}

func (u *unreliable) behaviour(path string) behaviour {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, name := range []string{path, ""} {
		if m := u.behaviours[name]; m != nil {
			return *m
		}
	}
	return behaviour{}
}

// sinceHangUp is the key in a connection's context of how often hangUp had been called when the connection was accepted.
type sinceHangUp struct{}

func (u *unreliable) connected(ctx context.Context, _ net.Conn) context.Context {
	u.mu.Lock()
	defer u.mu.Unlock()
	return context.WithValue(ctx, sinceHangUp{}, u.hungUp)
}

// began records that a push is in progress, until ended is called. It returns nil if hangUp has broken the connection of the push.
func (u *unreliable) began(r *http.Request) (ended func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.Context().Value(sinceHangUp{}) != u.hungUp {
		return nil
	}
	u.begun++
	n := u.begun
	u.busy[n] = true
	return func() {
		u.mu.Lock()
		delete(u.busy, n)
		u.mu.Unlock()
		u.evidence.mu.Lock()
		defer u.evidence.mu.Unlock()
		u.announce()
	}
}

// hangUp breaks all connections, and waits until the push server is done with their pushes. It takes no push of theirs that it has not begun
// with: whoever sent it can't get an answer any more.
func (u *unreliable) hangUp() {
	u.t.Helper()
	u.mu.Lock()
	u.hungUp++
	u.mu.Unlock()
	u.CloseClientConnections()
	u.finish()
}

// finish waits until the push server is done with all pushes that have arrived.
func (u *unreliable) finish() {
	u.t.Helper()
	u.mu.Lock()
	last := u.begun
	u.mu.Unlock()
	u.await("the push server is done", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		for n := range u.busy {
			if n <= last {
				return false
			}
		}
		return true
	})
}

// ServeHTTP treats a push according to its endpoint's behaviour. Without one, the push goes to the push service, which verifies it.
func (u *unreliable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ended := u.began(r)
	if ended == nil {
		return
	}
	defer ended()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has closed the connection
	}
	event, unread, err := pushBody(body)
	if err != nil {
		u.t.Errorf("a push is not JSON: %v", err)
	}
	push := checker.Push{Device: u.URL + r.URL.Path, Event: event}
	m := u.behaviour(r.URL.Path)
	for m.until != nil {
		u.hangs(r.URL.Path)
		select {
		case <-m.until:
			m = u.behaviour(r.URL.Path)
		case <-r.Context().Done():
			push.Time = time.Now()
			u.pushed(push)
			return
		}
	}
	answer := httptest.NewRecorder()
	switch {
	case m.dropped:
	case m.status != 0:
		if m.retryAfter != "" {
			answer.Header().Set("Retry-After", m.retryAfter)
		}
		answer.WriteHeader(m.status)
		push.Dead = m.status == http.StatusGone
	default:
		r.Body = io.NopCloser(bytes.NewReader(body))
		u.PushService.ServeHTTP(answer, r)
		push.Taken, push.Cut = answer.Code == http.StatusCreated, m.cut
		if !push.Taken {
			u.t.Errorf("the push service answers %d %s", answer.Code, answer.Body)
		}
	}
	push.Time = time.Now()
	if push.Taken && event == "" {
		u.mu.Lock()
		u.unread[r.URL.Path] = append(u.unread[r.URL.Path], unread)
		u.mu.Unlock()
	}
	u.pushed(push)
	if m.dropped || m.cut {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// badges returns the counts of the badge updates that arrived, in order.
func (u *unreliable) badges(d device) []int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]int(nil), u.unread[pathOf(d.Pushkey)]...)
}

// phone returns a device of org.example.up, and phoneOf one of another app.
func (u *unreliable) phone(name string) device { return u.phoneOf("org.example.up", name) }

func (u *unreliable) phoneOf(appID, name string) device {
	d := upDevice(u.Endpoint(name))
	d.AppID = appID
	return d
}

// durable are the stores that survive the process.
const durable = "rejected file {dir}/rejected.db\noutbox file {dir}/outbox.db\n"

// safeScene has an unreliable push server, and a gateway with stores that survive the process. Its apps are org.example.up, which waits 20
// s for a verdict; org.example.soon, which waits 500 ms; and org.example.async, which does not wait.
type safeScene struct {
	*unreliable
	t       *testing.T
	config  string
	gateway *process
	hs      *homeserver
	reloads int
}

func newSafeScene(t *testing.T, more string) *safeScene {
	t.Helper()
	u := newUnreliable(t)
	if !strings.Contains(more, "outbox ") {
		more += "\n" + durable
	}
	global := u.global(more + "\n" + u.moreUp("org.example.soon", "wait 500ms") + u.moreUp("org.example.async", "wait 0"))
	s := &safeScene{unreliable: u, t: t, config: gatewayConfig(global, "matrix_push"), gateway: newProcess(t)}
	s.start()
	return s
}

func (s *safeScene) start() {
	s.t.Helper()
	s.gateway.start(s.config)
	s.hs = s.gateway.homeserver()
}

// reload loads a configuration with a difference that no test depends on. The gateway then retries all pending pushes at once.
func (s *safeScene) reload() {
	s.t.Helper()
	s.reloads++
	if err := s.gateway.load(strings.Replace(s.config, "matrix_push {\n", fmt.Sprintf("matrix_push {\nmax_devices %d\n", 200+s.reloads), 1)); err != nil {
		s.t.Fatal(err)
	}
}

// killAndStart kills the process and starts another one.
func (s *safeScene) killAndStart() {
	s.t.Helper()
	s.kill()
	s.start()
}

// kill kills the process, and waits until the push server is done with its pushes.
func (s *safeScene) kill() {
	s.killed(func() {
		s.gateway.kill()
		s.hangUp()
	})
}

// notify sends an alert.
func (s *safeScene) notify(event string, devices ...device) reply {
	s.t.Helper()
	return s.alert(s.hs, event, devices...)
}
