package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// pace sends requests at a steady pace, each independently, and finds out which took too long.
type pace struct {
	t    *testing.T
	name string
	// kept means that the gateway keeps the pushes. If its disk takes longer than slowDisk, the answer is 503, and the homeserver sends the
	// push again.
	kept    bool
	start   time.Time
	waiting sync.WaitGroup

	mu      sync.Mutex
	late    []paced // the requests that began after the gateway had noticed the fault
	slowest time.Duration
	replies []reply
}

// slowDisk is how long a request waits for the outbox at least, before it is answered with 503.
const slowDisk = 900 * time.Millisecond

// paced is a request: its number, when it began, and how long it took.
type paced struct {
	i           int
	began, took time.Duration
}

func (p *pace) keep(over time.Time, beat time.Duration, send func(i int) reply) {
	p.start = time.Now()
	for i := 0; time.Now().Before(over); i++ {
		p.waiting.Go(func() {
			began := time.Now()
			r := send(i)
			took := time.Since(began)
			for sent, last := 1, took; p.kept && r.Status == http.StatusServiceUnavailable && last >= slowDisk && sent < 10; sent++ {
				again := time.Now()
				r = send(i)
				last = time.Since(again)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.replies = append(p.replies, r)
			if began := began.Sub(p.start); began >= noticed {
				p.late = append(p.late, paced{i, began, took})
				p.slowest = max(p.slowest, took)
			}
		})
		<-time.After(beat)
	}
	p.waiting.Wait()
}

// check wants each request answered with a status, and in time.
func (p *pace) check(status int, most time.Duration) {
	p.t.Helper()
	for _, l := range p.late {
		if l.took > most {
			p.t.Errorf("%s: request %d, which began after %s, took %s", p.name, l.i, l.began, l.took)
		}
	}
	for _, r := range p.replies {
		if r.Status != status || len(r.Rejected) > 0 {
			p.t.Errorf("%s: answered %d %s", p.name, r.Status, r.Body)
			return
		}
	}
	p.t.Logf("%s: %d requests, from second %d on none took longer than %s", p.name, len(p.replies), noticed/time.Second, p.slowest)
}

// many has push servers at 127.0.0.1 to 127.0.0.n, which are different hosts with the same port. It records when each event was taken.
type many struct {
	port  int
	file  string      // of the authority that signed their certificates
	hangs atomic.Bool // whether the first of them hangs
	mu    sync.Mutex
	taken map[string][]time.Time // by path
}

func newMany(t *testing.T, n int) *many {
	t.Helper()
	m := &many{port: freePort(t), taken: make(map[string][]time.Time)}
	ca := providertest.NewCA(t)
	m.file = ca.File
	var hosts []string
	for i := range n {
		hosts = append(hosts, fmt.Sprintf("127.0.0.%d", i+1))
	}
	cert := ca.Certificate(t, hosts...)
	for _, host := range hosts {
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, m.port))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(received(m))
		_ = server.Listener.Close()
		server.Listener, server.Config.ErrorLog = listener, log.New(io.Discard, "", 0)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
	}
	return m
}

func (m *many) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if m.hangs.Load() && strings.HasPrefix(r.Host, "127.0.0.1:") {
		<-r.Context().Done()
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken[r.URL.Path] = append(m.taken[r.URL.Path], time.Now())
	w.WriteHeader(http.StatusCreated)
}

// device returns the ith device at a host.
func (m *many) device(appID string, host, i int) device {
	d := upDevice(fmt.Sprintf("https://127.0.0.%d:%d/up/%s-%d-%d", host+1, m.port, appID, host, i))
	d.AppID = appID
	return d
}

// once waits until a number of devices have got a message, and wants no device to get two.
func (g *google) once(t *testing.T, devices int) []fcmtest.Message {
	t.Helper()
	// Pushes that hung until the recovery are retried when their attempt is over, which takes half a minute.
	for deadline := time.Now().Add(2 * patience); len(g.Messages()) < devices && time.Now().Before(deadline); {
		<-time.After(20 * time.Millisecond)
	}
	messages := g.Messages()
	tokens := make(map[string]bool)
	for _, m := range messages {
		tokens[m.Token] = true
	}
	if len(messages) != devices || len(tokens) != devices {
		t.Errorf("%d devices got %d messages, want %d", len(tokens), len(messages), devices)
	}
	return messages
}

// firstOf returns when the first of the devices got a push.
func (m *many) firstOf(devices []device) (first time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range devices {
		for _, at := range m.taken[pathOf(d.Pushkey)] {
			if first.IsZero() || at.Before(first) {
				first = at
			}
		}
	}
	return first
}

// once waits until each device has got its push, and wants no device to get it twice.
func (m *many) once(t *testing.T, devices []device) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		m.mu.Lock()
		taken, twice := make(map[string]int), false
		for _, d := range devices {
			path := pathOf(d.Pushkey)
			if n := len(m.taken[path]); n != 1 {
				taken[path], twice = n, twice || n > 1
			}
		}
		m.mu.Unlock()
		if len(taken) == 0 {
			return
		}
		if time.Now().After(deadline) || twice {
			t.Fatalf("of %d devices, these did not get one push, but: %v", len(devices), taken)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// app returns a UnifiedPush app that trusts these servers.
func (m *many) app(appID, options string) string {
	return "app " + appID + " {\nunifiedpush {\ntrusted_ca " + m.file + "\nallow_private 127.0.0.0/8\nproxy none\n}\n" + options + "\n}\n"
}
