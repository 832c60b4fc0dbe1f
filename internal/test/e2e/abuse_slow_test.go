package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// A stranger subscribes to their own push servers, which never answer, and makes the gateway push to them. Nobody else is affected. The
// test checks what is delivered, and how much is under way, while all of them hang. It measures no time.

// app is an app whose pushes may go to that server.
func (h hanging) app(options string) string {
	return "app " + slowAppID + " {\nunifiedpush {\ntrusted_ca " + h.ca + "\nallow_private 127.0.0.0/8\nproxy none\n}\n" + options + "\n}\n"
}

const slowAppID = "org.example.slow"

// attack makes the gateway push to endpoints, and returns when all requests are answered.
func attack(hs *homeserver, endpoints []string) {
	hs.t.Helper()
	for n := 0; len(endpoints) > 0; n++ {
		var devices []device
		for _, endpoint := range endpoints[:min(100, len(endpoints))] {
			devices = append(devices, device{AppID: slowAppID, Pushkey: endpoint})
		}
		endpoints = endpoints[len(devices):]
		// A busy machine may not accept a hundred pushes in time. Then the request is sent again.
		wantBody(hs.t, hs.repeat(alert(fmt.Sprint("$attack", n), devices...)), nothingRejected)
	}
}

// wantServed sends events to two devices of an innocent app. Each must be taken by the time that its request is answered.
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
					s.t.Errorf("%d were taken when event %d for %s is answered", n, i, name)
				}
			}
		})
	}
	users.Wait()
}

// wantBounded checks how many pushes are at the push server at a time, in flight, and in the outbox of its app.
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
		s.t.Errorf("%v pushes of the other app are pending", got)
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
		// For a moment, it may count both a connection that gave up after TLS's 5 s and the one that replaces it.
		{newDeafServer(t, "127.0.0.1:0"), "wait 100ms", 500, 2 * perHost},
	} {
		t.Run(tt.slow.name+", "+tt.options, func(t *testing.T) {
			service := newPushServer(t)
			gateway := startGateway(t, "rejected memory\noutbox file\n"+service.global(tt.slow.app(tt.options)), "matrix_push")
			s := scene{t, service, gateway, gateway.homeserver()}
			var endpoints []string
			for i := range tt.subscriptions {
				// Other spellings of the host get no separate share.
				host := []string{"127.0.0.1:", "127.0.0.1:0", "127.0.0.1:000", "[::ffff:127.0.0.1]:", "１２７.０.０.１:"}[i%5]
				endpoints = append(endpoints, fmt.Sprintf("https://%s%s/up/%d", host, tt.slow.port, i))
			}
			attack(s.gateway.homeserver(), endpoints)
			tt.slow.until(t, perHost)
			s.wantServed(20)
			if tt.atServer == perHost && tt.slow.hung() == 0 {
				t.Error("no push hangs any more")
			}
			s.wantBounded(tt.slow, tt.atServer, perApp, tt.subscriptions)
			gateway.kill() // waits for nothing
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
		t.Error("no push hangs any more")
	}
	// Pushes that wait for a slot are in flight as well, and limited.
	s.wantBounded(slow, strangers, 4*perApp, hosts)
	gateway.kill()
}
