package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// sharedScene has an unreliable push server, and gateways that keep everything in one Redis. Their apps are those of a safeScene.
type sharedScene struct {
	*unreliable
	t        *testing.T
	redis    *redistest.Server
	config   string
	gateways []*process
}

// newSharedScene starts a number of gateways. The URL has options such as "?read_timeout=1s".
func newSharedScene(t *testing.T, gateways int, urlOptions, boxOptions string) *sharedScene {
	t.Helper()
	redis := redistest.Start(t, "--appendfsync", "always") // as docs/redis.md advises
	url := redis.URL + urlOptions
	s := newSceneOn(t, gateways, "rejected redis "+url+"\noutbox redis "+url+" {\n"+boxOptions+"\n}\n")
	s.redis = redis
	return s
}

// newSceneOn starts a number of gateways with the same stores.
func newSceneOn(t *testing.T, gateways int, stores string) *sharedScene {
	t.Helper()
	s := &sharedScene{t: t, unreliable: newUnreliable(t)}
	s.config = gatewayConfig(s.global(stores+s.moreUp("org.example.soon", "wait 500ms")+s.moreUp("org.example.async", "wait 0")), "matrix_push")
	for range gateways {
		p := newProcess(t)
		p.start(s.config)
		s.gateways = append(s.gateways, p)
	}
	return s
}

// unhurried has a URL's options for a Redis that is always there, but may be slow on a busy machine. If a gateway cannot ask Redis about an
// event, the event may be delivered twice.
const unhurried = "?dial_timeout=20s&read_timeout=20s&write_timeout=20s&pool_timeout=20s"

// homeserver returns a homeserver that connects to the first of these gateways that runs.
func (s *sharedScene) homeserver(prefers ...*process) *homeserver {
	return s.homeserverOf(func() []*process { return prefers })
}

// balanced returns a homeserver that connects to each gateway in turn, as behind a load balancer.
func (s *sharedScene) balanced() *homeserver {
	var turn atomic.Uint32
	return s.homeserverOf(func() []*process {
		n := int(turn.Add(1)) % len(s.gateways)
		return append(append([]*process(nil), s.gateways[n:]...), s.gateways[:n]...)
	})
}

func (s *sharedScene) homeserverOf(prefers func() []*process) *homeserver {
	client := s.gateways[0].client(false)
	client.Transport.(noting).DialContext = func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
		for _, p := range prefers() {
			conn, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)))
			if err == nil {
				return conn, nil
			}
		}
		return nil, err
	}
	return &homeserver{t: s.t, client: client, url: s.gateways[0].url()}
}

// user returns a user with a device. Only the test changes anything for the user.
func (s *sharedScene) user(hs *homeserver, d device) *user {
	return &user{fate: newWeather(s.unreliable), t: s.t, pause: 10 * time.Millisecond, endures: 2 * patience, hs: hs, devices: []device{d}}
}

// answered returns how many of a device's requests that were sent after a time were answered with a status.
func (s *sharedScene) answered(d device, status int, after time.Time) (n int) {
	s.evidence.mu.Lock()
	defer s.evidence.mu.Unlock()
	for _, q := range s.requests {
		if q.Status == status && q.Sent.After(after) && q.Devices[0].Name == d.Pushkey {
			n++
		}
	}
	return n
}

// waitIdle waits until exactly so many pushes of an app are pending, whose devices were tried before, without an attempt under way.
func (s *sharedScene) waitIdle(p *process, app string, pushes int) {
	s.t.Helper()
	var answer string
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		_, answer = p.adminDo(http.MethodGet, "/matrix_push/outbox?limit=1000&app="+app, "")
		var list struct {
			Entries []struct {
				Attempts int
				Running  bool
			}
		}
		if err := json.Unmarshal([]byte(answer), &list); err != nil {
			s.t.Fatalf("%v: %s", err, answer)
		}
		idle := 0
		for _, e := range list.Entries {
			if e.Attempts > 0 && !e.Running {
				idle++
			}
		}
		if idle == pushes && len(list.Entries) == pushes {
			return
		}
	}
	s.t.Fatalf("the outbox has %s", answer)
}

func logReport(t *testing.T, r checker.Report) {
	t.Helper()
	var b strings.Builder
	r.Write(&b)
	t.Log("\n" + b.String())
}
