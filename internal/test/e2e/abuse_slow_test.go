package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// Somebody subscribes to push servers of his own that never answer, and has them pushed to. That costs nobody else anything: what is shown is
// what is delivered and how much is under way while all of them still hang, and no time is measured.

// app is an app whose pushes may go to that server.
func (h hanging) app(options string) string {
	return "app " + slowAppID + " {\nunifiedpush {\ntrusted_ca " + h.ca + "\nallow_private 127.0.0.0/8\nproxy none\n}\n" + options + "\n}\n"
}

const slowAppID = "org.example.slow"

// attack has endpoints pushed to, and returns when all requests are answered.
func attack(hs *homeserver, endpoints []string) {
	hs.t.Helper()
	for n := 0; len(endpoints) > 0; n++ {
		var devices []device
		for _, endpoint := range endpoints[:min(100, len(endpoints))] {
			devices = append(devices, device{AppID: slowAppID, Pushkey: endpoint})
		}
		endpoints = endpoints[len(devices):]
		// A machine that is busy does not accept a hundred pushes in time: then it is sent again.
		wantBody(hs.t, hs.repeat(alert(fmt.Sprint("$attack", n), devices...)), nothingRejected)
	}
}

// wantServed sends events to two devices of an innocent app, each of which has to be taken by the time that it is answered.
func (s scene) wantServed(events int) {
	s.t.Helper()
	var users sync.WaitGroup
	for _, name := range []string{"alice", "bob"} {
		endpoint, hs := s.service.Endpoint(name), s.gateway.homeserver()
		users.Go(func() {
			for i := range events {
				r, err := hs.try(alert(fmt.Sprint("$", i), upDevice(endpoint)))
				if err != nil || r.Status != http.StatusOK || r.Body != nothingRejected {
					s.t.Errorf("event %d for %s is answered %d %s: %v", i, name, r.Status, r.Body, err)
				}
				if n := len(s.service.Messages(endpoint)); n != i+1 {
					s.t.Errorf("%d are taken when event %d for %s is answered", n, i, name)
				}
			}
		})
	}
	users.Wait()
}

// wantBounded wants no more at the push server at a time, and in flight and in the outbox of its app, than may be.
func (s scene) wantBounded(slow hanging, atServer, inFlight, waiting int) {
	s.t.Helper()
	all, _ := s.gateway.scrape()
	for _, tt := range []struct {
		name      string
		got, most int
	}{
		{"pushes at the server", slow.until(s.t, 0), atServer},
		{"pushes of the app in flight", int(all.total("pushes_in_flight", `app="`+slowAppID+`"`)), inFlight},
		{"entries in the outbox", int(all.total("outbox_entries", `app="`+slowAppID+`"`)), waiting},
	} {
		if tt.got > tt.most || tt.got == 0 {
			s.t.Errorf("%s: %d, want some and at most %d", tt.name, tt.got, tt.most)
		}
	}
	if got := all.total("outbox_entries", `app="org.example.up"`); got != 0 {
		s.t.Errorf("%v pushes of the other app wait", got)
	}
}

func TestAThousandSubscriptionsOnAHostThatNeverAnswersDelayNobody(t *testing.T) {
	t.Parallel()
	const perHost, perApp = 64, 512
	for _, tt := range []struct {
		slow                    hanging
		options                 string
		subscriptions, atServer int
	}{
		{newSilentServer(t), "wait 0", 1000, perHost},
		// It may count those that gave up after the 5 s that TLS may take until it has counted those that take their places.
		{newDeafServer(t, "127.0.0.1:0"), "wait 100ms", 500, 2 * perHost},
	} {
		t.Run(tt.slow.name+", "+tt.options, func(t *testing.T) {
			service := newPushServer(t)
			gateway := startGateway(t, "rejected memory\noutbox file\n"+service.global(tt.slow.app(tt.options)), "matrix_push")
			s := scene{t, service, gateway, gateway.homeserver()}
			var endpoints []string
			for i := range tt.subscriptions {
				// Other spellings of the host have no share of their own.
				host := []string{"127.0.0.1:", "127.0.0.1:0", "127.0.0.1:000", "[::ffff:127.0.0.1]:", "１２７.０.０.１:"}[i%5]
				endpoints = append(endpoints, fmt.Sprintf("https://%s%s/up/%d", host, tt.slow.port, i))
			}
			attack(s.gateway.homeserver(), endpoints)
			tt.slow.until(t, perHost)
			s.wantServed(20)
			if tt.atServer == perHost && tt.slow.hung() == 0 {
				t.Error("none hangs any more")
			}
			s.wantBounded(tt.slow, tt.atServer, perApp, tt.subscriptions)
			gateway.kill() // which waits for nothing
		})
	}
}

func TestManyHostsThatNeverAnswerDelayNoOtherApp(t *testing.T) {
	t.Parallel()
	const hosts, perApp, strangers = 300, 60, 60 / 8
	service, slow, names := newPushServer(t), newSilentServer(t, "*.slow.test"), newNameserver(t)
	names.setOthers("127.0.0.1")
	gateway := newProcess(t)
	gateway.env = append(gateway.env, resolver+"="+names.conn.LocalAddr().String())
	gateway.start(gatewayConfig("rejected memory\noutbox file\n"+
		service.global(slow.app(fmt.Sprintf("wait 0\nconcurrency %d", perApp))), "matrix_push"))
	s := scene{t, service, gateway, gateway.homeserver()}
	var endpoints []string
	for i := range hosts {
		endpoints = append(endpoints, fmt.Sprintf("https://h%d.slow.test:%s/up/%d", i, slow.port, i))
	}
	attack(s.gateway.homeserver(), endpoints)
	slow.until(t, strangers)
	s.wantServed(20)
	if slow.hung() == 0 {
		t.Error("none hangs any more")
	}
	// Those that wait for a place are in flight as well, and have a bound.
	s.wantBounded(slow, strangers, 4*perApp, hosts)
	gateway.kill()
}
