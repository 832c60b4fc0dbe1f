package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// hangTime is how long push services hang; E2E_HANG says otherwise, as 75s.
func hangTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("E2E_HANG")); err == nil && d > 0 {
		return d
	}
	return 20 * time.Second
}

const (
	// beat is how often a request comes for a service that hangs.
	beat = 300 * time.Millisecond
	// noticed is when it has been noticed that it does, and prompt how long no request takes from then on.
	noticed = 15 * time.Second
	prompt  = 1200 * time.Millisecond
	// recovery is how long the first delivery takes at most once the service works again.
	recovery = 15 * time.Second
)

// pace sends requests at a steady beat, each on its own, and finds out which took too long.
type pace struct {
	t       *testing.T
	name    string
	start   time.Time
	waiting sync.WaitGroup

	mu      sync.Mutex
	slowest time.Duration // of those that began when it had been noticed
	replies []reply
}

func (p *pace) keep(over time.Time, beat time.Duration, send func(i int) reply) {
	p.start = time.Now()
	for i := 0; time.Now().Before(over); i++ {
		p.waiting.Go(func() {
			began := time.Now()
			r := send(i)
			took := time.Since(began)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.replies = append(p.replies, r)
			if began.Sub(p.start) >= noticed {
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
	if p.slowest > most {
		p.t.Errorf("%s: a request took %s", p.name, p.slowest)
	}
	for _, r := range p.replies {
		if r.Status != status || len(r.Rejected) > 0 {
			p.t.Errorf("%s: answered %d %s", p.name, r.Status, r.Body)
			return
		}
	}
	p.t.Logf("%s: %d requests, from second %d on none took longer than %s", p.name, len(p.replies), noticed/time.Second, p.slowest)
}

// many are push servers at 127.0.0.1 to 127.0.0.n, which are different hosts, each on the same port, and when each event was taken.
type many struct {
	port  int
	file  string      // of their authority
	hangs atomic.Bool // the first of them does
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

// device is the ith one at a host.
func (m *many) device(appID string, host, i int) device {
	d := upDevice(fmt.Sprintf("https://127.0.0.%d:%d/up/%s-%d-%d", host+1, m.port, appID, host, i))
	d.AppID = appID
	return d
}

// once waits until so many devices have got a message, and wants none to have got two.
func (g *google) once(t *testing.T, devices int) []fcmtest.Message {
	t.Helper()
	// What hung until the recovery is tried again when its attempt is over, which takes half a minute.
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

// firstOf is when the first of the devices got a push.
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

// once waits until each device has got its push, and wants none to have got it twice.
func (m *many) once(t *testing.T, devices []device) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		m.mu.Lock()
		counts := make(map[int]int)
		for _, d := range devices {
			counts[len(m.taken[pathOf(d.Pushkey)])]++
		}
		m.mu.Unlock()
		if counts[1] == len(devices) {
			return
		}
		if time.Now().After(deadline) || len(counts) > 2 {
			t.Fatalf("of %d devices, so many got so many pushes: %v", len(devices), counts)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// app is a UnifiedPush app that trusts these servers.
func (m *many) app(appID, options string) string {
	return "app " + appID + " {\nunifiedpush {\ntrusted_ca " + m.file + "\nallow_private 127.0.0.0/8\nproxy none\n}\n" + options + "\n}\n"
}

// deaf is a server that accepts connections, and does not even shake hands.
func deaf(t *testing.T) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

// A review of the gateway found that 116 of 116 requests of 75 s waited the whole of `wait`. All of it goes on at the same time: FCM hangs,
// with an outbox and without; one UnifiedPush host hangs, and one never shakes hands, beside fifty that are fine; and one takes 8 s for
// everything, 20 pushes a second.
func TestServicesThatHangAreNoticedAndLoseNothing(t *testing.T) {
	t.Parallel()
	const good = 50
	fcm, poor, lazy, up := newGoogle(t), newGoogle(t), newGoogle(t), newMany(t, good+1)
	lazy.Answer("", providertest.Answer{Delay: 8 * time.Second, Times: -1})
	silent := deaf(t)
	gateway := startGateway(t, durable+fcm.app("org.example.android", "", "wait 2s")+up.app("org.example.up", "wait 2s")+
		lazy.app("org.example.lazy", "", "wait 0"), "matrix_push")
	without := startGateway(t, poor.app("org.example.android", "", "wait 2s"), "matrix_push")
	hs, poorHS := gateway.homeserver(), without.homeserver()

	fcm.Answer("", providertest.Answer{Hang: true, Times: -1})
	poor.Answer("", providertest.Answer{Hang: true, Times: -1})
	up.hangs.Store(true)
	over := time.Now().Add(hangTime())
	var scenes sync.WaitGroup
	run := func(name string, beat time.Duration, send func(i int) reply) *pace {
		p := &pace{t: t, name: name}
		scenes.Go(func() { p.keep(over, beat, send) })
		return p
	}
	var mu sync.Mutex
	var served, hung []device
	androids := run("FCM hangs", beat, func(i int) reply { return hs.notify(alert("$e", android(fmt.Sprint("a", i)))) })
	poors := run("FCM hangs, without an outbox", beat, func(i int) reply { return poorHS.notify(alert("$e", android(fmt.Sprint("a", i)))) })
	silents := run("a host never shakes hands", beat, func(i int) reply {
		d := upDevice(fmt.Sprintf("https://127.0.0.1:%d/up/%d", silent, i))
		return hs.notify(alert("$e", d))
	})
	hangs := run("a host hangs", beat, func(i int) reply {
		d := up.device("org.example.up", 0, i)
		mu.Lock()
		hung = append(hung, d)
		mu.Unlock()
		return hs.notify(alert("$e", d))
	})
	goods := run("fifty good hosts", 50*time.Millisecond, func(i int) reply {
		d := up.device("org.example.up", 1+i%good, i)
		mu.Lock()
		served = append(served, d)
		mu.Unlock()
		return hs.notify(alert("$e", d))
	})
	slows := run("a service takes 8 s for everything", 50*time.Millisecond, func(i int) reply {
		return hs.notify(alert("$e", androidOf("org.example.lazy", fmt.Sprint("slow", i))))
	})
	scenes.Wait()

	for _, p := range []*pace{androids, silents, hangs, goods, slows} {
		p.check(http.StatusOK, prompt)
	}
	poors.check(http.StatusServiceUnavailable, prompt)
	if goods.slowest > time.Second {
		t.Errorf("a request for a good host took %s", goods.slowest)
	}
	up.once(t, served)
	lazy.once(t, len(slows.replies))
	for _, p := range []*process{gateway, without} { // of the service that is only slow, it is not said
		if n := strings.Count(p.log.String(), "the push service does not work"); n != 1 {
			t.Errorf("that a push service does not work was said %d times", n)
		}
	}

	recovered := time.Now()
	up.hangs.Store(false)
	fcm.Answer("")
	poor.Answer("")
	messages := fcm.once(t, len(androids.replies))
	first := slices.MinFunc(messages, func(a, b fcmtest.Message) int { return a.Time.Compare(b.Time) })
	if took := first.Time.Sub(recovered); took > recovery {
		t.Errorf("the first delivery came %s after the recovery", took)
	} else {
		t.Logf("the first delivery came %s after the recovery", took)
	}
	up.once(t, hung)
	if took := up.firstOf(hung).Sub(recovered); took > recovery {
		t.Errorf("the first delivery to the host came %s after the recovery", took)
	}
	wantBody(t, poorHS.repeat(alert("$e", android("a0"))), nothingRejected)
}
