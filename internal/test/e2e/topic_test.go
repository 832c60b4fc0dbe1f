package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

const otherBundleID = "org.example.other"

const fuseBlew = "fuse tripped: too many pushkeys rejected"

// The topic is wrong from the start, then right, then changed to a wrong one under traffic, then right again. No device is ever rejected
// for it.
func TestAWrongTopicThatTheOperatorSetRejectsNobody(t *testing.T) {
	t.Parallel()
	a := newAppleOf(t, bundleID)
	config := func(topic string) string {
		return gatewayConfig(durable+"fuse 50% 10m\n"+a.app("org.example.ios", "topic "+topic, "wait 0")+
			a.app("org.example.waits", "topic "+topic, "wait 2s"), "matrix_push")
	}
	gateway := newProcess(t)
	gateway.start(config(otherBundleID))
	hs, v := gateway.homeserver(), newEvidence(t)
	devices := append(iPhones("org.example.ios", 30), iPhones("org.example.waits", 30)...)
	sent := 0
	send := func() {
		t.Helper()
		sent++
		for i := 0; i < len(devices); i += 6 {
			some := devices[i : i+6]
			accepted(t, v.alert(hs, fmt.Sprint("$", sent), some...))
		}
	}
	load := func(topic string) {
		t.Helper()
		if err := gateway.load(config(topic)); err != nil {
			t.Fatal(err)
		}
		hs = gateway.homeserver()
	}
	arrived := func() bool { return len(a.Pushes()) == sent*len(devices) }

	send()
	a.await(t, func() bool { return len(a.Requests()) >= len(devices) }) // each was tried
	send()
	if n := len(a.Pushes()); n > 0 {
		t.Errorf("%d arrived", n)
	}
	load(bundleID)
	a.await(t, arrived)
	send()
	a.await(t, arrived)

	load(otherBundleID)
	tried := len(a.Requests())
	send()
	a.await(t, func() bool { return len(a.Requests()) >= tried+len(devices) })
	send()
	load(bundleID)
	a.await(t, arrived)

	if f := gateway.fuses()["org.example.ios"]; f.Tripped != nil || f.Dead > 0 {
		t.Errorf("the fuse has %+v", f)
	}
	if text := gateway.log.String(); !strings.Contains(text, "push doubted") || strings.Contains(text, fuseBlew) {
		t.Error("the log does not say what is wrong")
	}
	if r := a.evidence(v).check(); r.Rejected > 0 || r.Taken != sent*len(devices) {
		t.Errorf("%d events were rejected, %d taken, want 0 and %d", r.Rejected, r.Taken, sent*len(devices))
	}
}

// Apple changes its mind about the tokens of an app that works: its settings are proven, so the first rejections are believed until the
// fuse trips.
func TestAWrongTopicInTheMiddleOfTrafficTripsTheFuse(t *testing.T) {
	t.Parallel()
	a := newAppleOf(t, bundleID)
	gateway := startGateway(t, durable+"fuse 50% 10m\n"+a.app("org.example.ios", "", "wait 20s"), "matrix_push")
	hs, v := gateway.homeserver(), newEvidence(t)
	devices := iPhones("org.example.ios", 30)
	accepted(t, v.alert(hs, "$1", devices...))

	a.SetDeviceTopic(otherBundleID)
	const most = 19 // the fuse trips at the twentieth
	var rejected []device
	for i, d := range devices {
		r := v.alert(hs, "$2", d)
		wantStatus(t, r, http.StatusOK)
		if len(r.Rejected) > 0 {
			rejected = append(rejected, d)
		}
		if want := i < most; (len(r.Rejected) > 0) != want {
			t.Errorf("device %d: rejected %t, want %t", i, !want, want)
		}
		if tripped := gateway.fuses()["org.example.ios"].Tripped != nil; tripped != (i >= most) {
			t.Errorf("after device %d: tripped %t", i, tripped)
		}
	}
	// The store has no record of them: their homeservers may go on, and their pushes are held.
	for _, event := range []string{"$3", "$4"} {
		accepted(t, v.alert(hs, event, devices...))
	}
	before := len(a.Pushes())
	if before != len(devices) {
		t.Errorf("%d pushes arrived before the correction, want %d", before, len(devices))
	}

	a.SetDeviceTopic(bundleID)
	gateway.resetFuse("org.example.ios")
	want := 4*len(devices) - len(rejected)
	a.await(t, func() bool { return len(a.Pushes()) == want })
	accepted(t, v.alert(hs, "$5", devices...))
	a.await(t, func() bool { return len(a.Pushes()) == want+len(devices) })
	for i, d := range devices {
		var events []string
		for _, p := range a.Pushes() {
			if p.Token == d.path() {
				events = append(events, fmt.Sprint(member(t, p.Payload, "event_id")))
			}
		}
		all := []string{"$1", "$2", "$3", "$4", "$5"}
		if i < most {
			all = slices.Delete(all, 1, 2)
		}
		if !slices.Equal(events, all) {
			t.Errorf("device %d got %q, want %q", i, events, all)
		}
	}
	if f := gateway.fuses()["org.example.ios"]; f.Tripped != nil || f.Dead > 0 {
		t.Errorf("after the reset, the fuse has %+v", f)
	}
	if n := strings.Count(gateway.log.String(), fuseBlew); n != 1 {
		t.Errorf("the trip was logged %d times", n)
	}
}

func TestAFloodOfMadeUpTokensChangesNothingForAnotherApp(t *testing.T) {
	t.Parallel()
	flooded, other := newApple(t), newApple(t)
	gateway := startGateway(t, "rejected file {dir}/rejected.db\noutbox file {dir}/outbox.db {\nmax_per_app 50\n}\nfuse 50% 10m\n"+
		flooded.app("org.example.ios", "", "wait 20s")+other.app("org.example.other", "", "wait 20s"), "matrix_push")
	hs, flood := gateway.homeserver(), gateway.homeserver()
	user, otherUser := iPhone("user"), iPhoneOf("org.example.other", "user")
	accepted(t, hs.notify(alert("$0", user, otherUser)))
	flooded.Answer("", apnstest.Answer{Reason: "BadDeviceToken", Times: -1})
	flooded.Answer(user.path(), apnstest.Answer{Times: -1})

	const tokens = 300
	over := make(chan int)
	go func() {
		held := 0
		for range tokens {
			var token [32]byte
			_, _ = rand.Read(token[:])
			d := device{AppID: "org.example.ios", Pushkey: base64.StdEncoding.EncodeToString(token[:]), PushkeyTS: at(1)}
			if r, err := flood.try(alert("$flood", d)); err == nil && r.Status == http.StatusServiceUnavailable {
				held++
			}
		}
		over <- held
	}()
	events := 0
	for flooding := true; flooding; {
		select {
		case held := <-over:
			flooding = false
			if held != tokens-50-19 {
				t.Errorf("%d of the tokens were answered 503, want %d", held, tokens-50-19)
			}
		default:
		}
		events++
		start := time.Now()
		accepted(t, hs.notify(alert(fmt.Sprint("$", events), otherUser)))
		if took := time.Since(start); took > generous {
			t.Errorf("event %d took %s", events, took)
		}
	}
	other.taken(t, otherUser.path(), events+1)
	accepted(t, hs.notify(alert("$user", user))) // the flooded app's own users are served as well
	flooded.taken(t, user.path(), 2)

	fuses := gateway.fuses()
	if fuses["org.example.ios"].Tripped == nil || fuses["org.example.other"].Tripped != nil || fuses["org.example.other"].Dead > 0 {
		t.Errorf("the fuses are %+v", fuses)
	}
	// Rejections of the other app are believed, and its pushes are kept.
	dead := iPhoneOf("org.example.other", "dead")
	other.Unregister(dead.path(), time.Now())
	for range 2 {
		wantBody(t, hs.notify(alert("$dead", dead)), rejecting(dead.Pushkey))
	}
	other.Answer(otherUser.path(), apnstest.Answer{Reason: "ServiceUnavailable"})
	accepted(t, hs.notify(alert("$kept", otherUser)))
	other.await(t, func() bool {
		return slices.ContainsFunc(other.Pushes(), func(p apnstest.Push) bool { return bytes.Contains(p.Payload, []byte("$kept")) })
	})
}

func TestR13_AMassOfRejectionsTripsTheFuse(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, durable+"fuse 50% 10m")
	var devices []device
	for i := range 30 {
		devices = append(devices, s.phone(fmt.Sprint(i)))
	}
	s.set(behaviour{status: http.StatusGone})
	n := 0
	for _, d := range devices {
		r := s.notify("$1", d)
		wantStatus(t, r, http.StatusOK)
		n += len(r.Rejected)
	}
	if n != 19 {
		t.Errorf("%d were rejected, want the 19 before the fuse trips", n)
	}
	for _, d := range devices {
		accepted(t, s.notify("$2", d))
	}
	if f := s.gateway.fuses()["org.example.up"]; f.Tripped == nil || f.Dead < 20 {
		t.Errorf("the fuse has %+v", f)
	}
	// The fuse stays tripped over a reload, because the mistake does.
	s.reload()
	if s.gateway.fuses()["org.example.up"].Tripped == nil {
		t.Error("a reload reset the fuse")
	}
	s.hs = s.gateway.homeserver()
	accepted(t, s.notify("$3", s.phone("late")))
	// The operator fixes the mistake and resets the fuse: held pushes are delivered, and rejections are believed again.
	s.set(behaviour{})
	s.gateway.resetFuse("org.example.up")
	for i, d := range devices {
		if i >= 19 {
			s.awaitTaken(d, "$1", "$2")
		} else {
			s.awaitTaken(d, "$2")
		}
	}
	s.awaitTaken(s.phone("late"), "$3")
	if f := s.gateway.fuses()["org.example.up"]; f.Tripped != nil || f.Dead > 0 {
		t.Errorf("after the reset, the fuse has %+v", f)
	}
	s.set(behaviour{status: http.StatusGone}, devices[0])
	r := s.notify("$4", devices[0])
	for n := 5; len(r.Rejected) == 0 && n < 100; n++ { // the outbox may not know yet that it is empty
		<-time.After(20 * time.Millisecond)
		r = s.notify(fmt.Sprint("$", n), devices[0])
	}
	wantBody(t, r, rejecting(devices[0].Pushkey))
}

func TestR13_AMassOfUnknownAppsTripsTheFuse(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, durable+"fuse 50% 10m")
	known := s.phone("known")
	accepted(t, s.notify("$0", known))
	for i := range 25 {
		d := device{AppID: "unknown", Pushkey: fmt.Sprint("key", i), PushkeyTS: at(1)}
		r, err := s.hs.try(alert("$1", d))
		if err != nil {
			t.Fatal(err)
		}
		if i < 19 {
			wantBody(t, r, rejecting(d.Pushkey))
		} else {
			wantUnavailable(t, r)
		}
	}
	accepted(t, s.notify("$2", known))
	s.gateway.resetFuse("")
	wantBody(t, s.hs.notify(alert("$1", device{AppID: "unknown", Pushkey: "key24"})), rejecting("key24"))
	s.awaitTaken(known, "$0", "$2")
}
