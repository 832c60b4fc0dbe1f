package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
)

// flood returns how many random pushkeys a test sends: E2E_FLOOD, or few.
func flood(few int) int { return envNumber("E2E_FLOOD", few) }

// Only verdicts of push services fill the rejected store, up to its configured size. Everything else that the gateway remembers about
// pushkeys is limited as well.
func TestAFloodOfRandomPushkeysIsRememberedWithinBounds(t *testing.T) {
	t.Parallel()
	const room, bound = 100, 64 << 20
	pushkeys := flood(3_000)
	service := newPushServer(t)
	gateway := startGateway(t, fmt.Sprintf("rejected memory {\nmax_entries %d\n}\n", room)+service.global(""), "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}
	old := s.dead("old")
	before, _ := gateway.heap()

	for _, kind := range []struct {
		name   string
		device func(n int) device
		some   int // sends only one in this many, if they cost the push server something
	}{
		{"unusable", func(n int) device { return upDevice(fmt.Sprintf("made-up-%d", n)) }, 1},
		{"unusable subscriptions", func(n int) device { return device{AppID: "org.example.web", Pushkey: fmt.Sprintf("made-up-%d", n)} }, 1},
		{"of unknown apps", func(n int) device {
			return device{AppID: fmt.Sprintf("made.up.%d", n), Pushkey: fmt.Sprintf("made-up-%d", n)}
		}, 1},
		{"blocked", func(n int) device {
			return upDevice(fmt.Sprintf("https://10.%d.%d.1:8443/up/%d", n>>8&0xff, n&0xff, n))
		}, 5},
		{"taken", func(n int) device { return upDevice(service.Endpoint("taken") + "?" + strconv.Itoa(n)) }, 10},
	} {
		var devices []device
		for n := range pushkeys / kind.some {
			if devices = append(devices, kind.device(n)); len(devices) == 100 || n == pushkeys/kind.some-1 {
				wantStatus(t, s.hs.notify(alert(fmt.Sprint("$", n), devices...)), http.StatusOK)
				devices = nil
			}
		}
		all, _ := gateway.scrape()
		after, _ := gateway.heap()
		grown := after - before
		t.Logf("after %d pushkeys that are %s, %v records, and %.1f MB more", pushkeys/kind.some, kind.name, all.total("rejected_records"), grown/1e6)
		if n := all.total("rejected_records"); n != 1 {
			t.Errorf("%s: %v records, want only the old one", kind.name, n)
		}
		if grown > bound {
			t.Errorf("%s: the heap has grown by %.0f bytes, want at most %d", kind.name, grown, bound)
		}
	}
	wantBody(t, s.hs.notify(alert("$after", old)), rejecting(old.Pushkey))
	s.pushes(old.Pushkey, 1) // the push server was not asked again

	// The attacker's own push server reports all devices dead. The store has room for a limited number.
	for n := range 2 * room {
		d := upDevice(service.Endpoint("dead-" + strconv.Itoa(n)))
		service.Answer(d.Pushkey, answerGone)
		wantBody(t, s.hs.notify(alert("$dead", d)), rejecting(d.Pushkey))
		if n%50 == 0 { // a record that is used is not forgotten
			wantBody(t, s.hs.notify(alert(fmt.Sprint("$still", n), old)), rejecting(old.Pushkey))
		}
	}
	all, _ := gateway.scrape()
	if n := all.total("rejected_records"); n != room {
		t.Errorf("%v records, want %d", n, room)
	}
	s.pushes(old.Pushkey, 1)
}

// The fuse withdraws the verdicts of such a server.
func TestAFloodOfVerdictsTripsTheFuseAndIsNotKept(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, "fuse 50% 10m\nrejected memory\n"+service.global(""), "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}
	alive := upDevice(service.Endpoint("alive"))
	wantBody(t, s.hs.notify(alert("$0", alive)), nothingRejected)
	rejections := 0
	for n := range 100 {
		d := upDevice(service.Endpoint("dead-" + strconv.Itoa(n)))
		service.Answer(d.Pushkey, answerGone)
		r := s.hs.notify(alert("$dead", d))
		rejections += len(r.Rejected)
		if n >= 20 {
			wantUnavailable(t, r)
		}
	}
	all, _ := gateway.scrape()
	if n := all.total("rejected_records"); n != 0 || rejections >= 20 {
		t.Errorf("%v records are kept, and %d rejections were answered", n, rejections)
	}
	wantBody(t, s.hs.notify(alert("$1", alive)), nothingRejected)
	s.pushes(alive.Pushkey, 2)
}
