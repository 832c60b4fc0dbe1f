package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// Delivery with a durable outbox, S01 to S17 of docs/acceptance.md. Tests with other names show S13 and S15.

func TestS01_AnEventIsDeliveredOnceHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	for _, appID := range []string{"org.example.up", "org.example.soon", "org.example.async"} {
		d := s.phoneOf(appID, appID)
		for range 3 {
			accepted(t, s.notify("$1", d))
		}
		s.awaitTaken(d, "$1")
	}
	// The outbox writes this push after the others, so everything before it survives the process.
	d := s.phoneOf("org.example.async", "another")
	accepted(t, s.notify("$2", d))
	s.awaitTaken(d, "$2")
	s.killAndStart()
	for _, appID := range []string{"org.example.up", "org.example.soon", "org.example.async"} {
		d := s.phoneOf(appID, appID)
		accepted(t, s.notify("$1", d))
		accepted(t, s.notify("$3", d))
		s.awaitTaken(d, "$1", "$3")
	}
	s.check()
}

func TestS01_TwoRequestsAtTheSameTimeShareADelivery(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	for _, appID := range []string{"org.example.up", "org.example.soon", "org.example.async"} {
		d := s.phoneOf(appID, appID)
		release := s.hold(d)
		answers := make(chan reply)
		for range 8 {
			go func() {
				r, err := s.try(s.gateway.homeserver(), "$1", alert("$1", d), d)
				if err != nil {
					t.Error(err)
				}
				answers <- r
			}()
		}
		if appID == "org.example.up" { // all requests wait for the same attempt; those for the other apps are answered meanwhile
			for range 8 {
				select {
				case r := <-answers:
					t.Errorf("answered %d %s without a verdict", r.Status, r.Body)
				case <-time.After(20 * time.Millisecond):
				}
			}
			release()
		}
		for range 8 {
			accepted(t, <-answers)
		}
		release()
		s.awaitTaken(d, "$1")
	}
	s.drained()
}

func TestS02_AnEventForTwoAccountsOnADeviceIsDeliveredToEach(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	for _, appID := range []string{"org.example.up", "org.example.async"} {
		one, two := s.phoneOf(appID, appID), s.phoneOf(appID, appID)
		one.Data, two.Data = map[string]any{"client": "1"}, map[string]any{"client": "2"}
		for range 2 {
			accepted(t, s.notify("$1", one))
			accepted(t, s.notify("$1", two))
		}
		accepted(t, s.notify("$2", one)) // arrives after all of them
		s.awaitTaken(one, "$1", "$1", "$2")
	}
}

func TestS03_TheTestOfATroubleshooterIsDeliveredEachTime(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	const fake = "$THIS_IS_A_FAKE_EVENT_ID"
	for _, appID := range []string{"org.example.up", "org.example.async"} {
		d := s.phoneOf(appID, appID)
		accepted(t, s.notify(fake, d))
		accepted(t, s.notify(fake, d))
		s.awaitTaken(d, fake, fake)
	}
}

func TestS04_AFailedAttemptIsRepeatedNotSuppressed(t *testing.T) {
	t.Parallel()
	t.Run("by the outbox", func(t *testing.T) {
		t.Parallel()
		s := newSafeScene(t, "")
		for name, m := range map[string]behaviour{
			"503": {status: 503}, "429": {status: 429, retryAfter: "1"}, "dropped": {dropped: true},
		} {
			for _, appID := range []string{"org.example.up", "org.example.async"} {
				d := s.phoneOf(appID, name+appID)
				s.set(m, d)
				accepted(t, s.notify("$1", d))
				s.await("an attempt failed", func() bool { return s.tried(d) > 0 })
				accepted(t, s.notify("$1", d)) // the homeserver missed the answer
				s.set(behaviour{}, d)
			}
		}
		s.drained()
	})
	t.Run("by the homeserver, where there is no outbox", func(t *testing.T) {
		t.Parallel()
		u := newUnreliable(t)
		s := &safeScene{
			unreliable: u, t: t, gateway: newProcess(t),
			config: gatewayConfig("rejected memory\n"+u.moreUp("org.example.up", "wait 20s"), "matrix_push"),
		}
		s.start()
		d := s.phone("phone")
		s.set(behaviour{status: 503}, d)
		for range 3 {
			wantUnavailable(t, s.notify("$1", d))
		}
		s.set(behaviour{}, d)
		accepted(t, s.notify("$1", d))
		s.awaitTaken(d, "$1")
		s.check()
	})
}

func TestS05_BadgeUpdatesAreNeverSuppressedAndOnlyTheNewestWaits(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	update := func(unread int, d device) {
		t.Helper()
		r, err := s.try(s.hs, "", badge(unread, d), d)
		if err != nil {
			t.Fatal(err)
		}
		accepted(t, r)
	}
	for _, appID := range []string{"org.example.up", "org.example.async"} {
		d := s.phoneOf(appID, appID)
		update(3, d)
		update(3, d)
		s.await("both arrived", func() bool { return len(s.badges(d)) == 2 })

		s.set(behaviour{status: 503}, d)
		accepted(t, s.notify("$1", d))
		for unread := range 20 {
			update(unread+10, d)
		}
		accepted(t, s.notify("$2", d))
		s.set(behaviour{}, d)
		s.awaitTaken(d, "", "", "$1", "", "$2")
		if got := s.badges(d); !slices.Equal(got, []int{3, 3, 29}) {
			t.Errorf("the badges %v arrived, want 3, 3 and of those that waited the newest, 29", got)
		}
	}
	s.check()
}

func TestS06_TheAnswerDoesNotWaitForAPushServiceThatHangs(t *testing.T) {
	t.Parallel()
	a := newApple(t)
	u := newUnreliable(t)
	gateway := startGateway(t, durable+a.app("org.example.ios", "", "wait 0")+u.moreUp("org.example.async", "wait 0"), "matrix_push")
	hs := gateway.homeserver()
	until := make(chan struct{})
	a.Answer("", apnstest.Answer{Until: until, Times: -1})
	release := u.hold()
	phone, up := iPhone("phone"), u.phoneOf("org.example.async", "phone")
	const events = 20
	for i := range events {
		start := time.Now()
		accepted(t, hs.notify(alert(fmt.Sprint("$", i), phone, up)))
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("event %d was answered after %s", i, took)
		}
	}
	close(until)
	release()
	a.await(t, func() bool { return len(a.Pushes()) == events })
	u.await("all arrived", func() bool { return len(u.taken(up)) == events })
	for i, p := range a.taken(t, phone.path(), events) {
		if got := member(t, p.Payload, "event_id"); got != fmt.Sprint("$", i) {
			t.Errorf("push %d is of %v", i, got)
		}
	}
}

func TestS07_WhatWasAcceptedSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	release := s.hold()
	var devices []device
	for i := range 8 {
		devices = append(devices, s.phoneOf("org.example.async", fmt.Sprint("async", i)), s.phoneOf("org.example.soon", fmt.Sprint("soon", i)))
	}
	for i := range 5 {
		accepted(t, s.notify(fmt.Sprint("$", i), devices...))
		s.killAndStart()
	}
	for _, d := range devices {
		if got := s.taken(d); len(got) > 0 {
			t.Errorf("%q arrived at a push service that hangs", got)
		}
	}
	release()
	for _, d := range devices {
		s.awaitTaken(d, "$0", "$1", "$2", "$3", "$4")
	}
	// The homeserver did not get the last answer.
	accepted(t, s.notify("$4", devices...))
	accepted(t, s.notify("$5", devices...))
	for _, d := range devices {
		s.awaitTaken(d, "$0", "$1", "$2", "$3", "$4", "$5")
	}
	s.check()
}

func TestS08_AFullOutboxMakesTheHomeserverWait(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, bound string }{
		{"the bound of a device", "max_per_device 3"},
		{"the bound of an app", "max_per_app 3"},
		{"the bound of an app's size", "max_size 2KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSafeScene(t, "rejected file {dir}/rejected.db\noutbox file {dir}/outbox.db {\n"+tt.bound+"\n}\n")
			full, other := s.phoneOf("org.example.soon", "full"), s.phone("other")
			s.set(behaviour{status: 503}, full)
			n := 0
			for ; ; n++ {
				r := s.notify(fmt.Sprint("$", n), full)
				if r.Status != http.StatusOK {
					wantUnavailable(t, r)
					break
				}
				if n == 100 {
					t.Fatal("it is never full")
				}
			}
			if n == 0 {
				t.Fatal("it is full at once")
			}
			// Nothing was accepted for this device, and the other one has got the push.
			rest := fmt.Sprint("$", n)
			wantUnavailable(t, s.notify(rest, full, other))
			s.awaitTaken(other, rest)
			wantUnavailable(t, s.notify(rest, other, full))
			// Another app's pushes are delivered and kept.
			async := s.phoneOf("org.example.async", "async")
			s.set(behaviour{status: 503}, async)
			accepted(t, s.notify("$async", async))
			s.set(behaviour{}, async)
			s.awaitTaken(async, "$async")

			var want []string
			for i := range n {
				want = append(want, fmt.Sprint("$", i))
			}
			s.set(behaviour{}, full)
			s.awaitTaken(full, want...)
			// There is room again: the refused event is delivered once, to the device that did not get it.
			s.await("it is accepted", func() bool { return s.notify(rest, full, other).Status == http.StatusOK })
			s.awaitTaken(full, append(want, rest)...)
			s.awaitTaken(other, rest)
			s.drained()
		})
	}
}

func TestS09_TheWaitIsHonoured(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	const wait = 500 * time.Millisecond
	soon := s.phoneOf("org.example.soon", "soon")
	release := s.hold(soon)
	start := time.Now()
	accepted(t, s.notify("$1", soon))
	if took := time.Since(start); took < wait || took > wait+generous {
		t.Errorf("answered after %s, the wait is %s", took, wait)
	}
	// A request does not wait for a push that is pending already.
	start = time.Now()
	accepted(t, s.notify("$2", soon))
	if took := time.Since(start); took > generous {
		t.Errorf("answered after %s", took)
	}
	release()
	s.awaitTaken(soon, "$1", "$2")

	// The longest wait of a request's devices counts, and a verdict ends it.
	other := s.phoneOf("org.example.soon", "other")
	release, patient := s.hold(other), s.phone("patient")
	releasePatient := s.hold(patient)
	gone := s.phoneOf("org.example.soon", "gone")
	s.set(behaviour{status: http.StatusGone}, gone)
	answer := make(chan reply)
	start = time.Now()
	go func() {
		r, err := s.try(s.gateway.homeserver(), "$3", alert("$3", other, gone, patient), other, gone, patient)
		if err != nil {
			t.Error(err)
		}
		answer <- r
	}()
	select {
	case r := <-answer:
		t.Fatalf("answered %d %s while one is waited for", r.Status, r.Body)
	case <-time.After(2 * wait):
	}
	releasePatient()
	wantBody(t, <-answer, rejecting(gone.Pushkey))
	if took := time.Since(start); took > 2*wait+generous {
		t.Errorf("answered after %s", took)
	}
	release()
	s.drained()
}

func TestS10_AClientThatDisconnectsCancelsNothing(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	for name, then := range map[string]behaviour{"it is taken": {}, "it fails": {status: 503}} {
		d := s.phone(name)
		release := s.hold(d)
		ctx, disconnect := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.hs.url, strings.NewReader(alert("$1", d)))
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if resp, err := s.hs.client.Do(req); err == nil {
				_ = resp.Body.Close()
				t.Error("answered")
			}
		}()
		s.arrived(d)
		disconnect()
		<-gone
		release()
		s.set(then, d)
		if then.status == 0 {
			s.await("it arrived", func() bool { return len(s.taken(d)) == 1 })
		}
		accepted(t, s.notify("$1", d))
		s.set(behaviour{}, d)
		s.awaitTaken(d, "$1")
		accepted(t, s.notify("$2", d))
		s.awaitTaken(d, "$1", "$2")
	}
}

func TestS11_AGatewayThatIsAskedToEndFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	waits, async := s.phone("waits"), s.phoneOf("org.example.async", "async")
	release := s.hold()
	answer := make(chan reply, 1)
	go func() {
		r, err := s.try(s.gateway.homeserver(), "$1", alert("$1", waits, async), waits, async)
		if err != nil {
			t.Error(err)
		}
		answer <- r
	}()
	s.arrived(waits)
	s.arrived(async)
	ended := make(chan struct{})
	log := s.gateway.log
	go func() {
		defer close(ended)
		s.gateway.terminate()
	}()
	if !log.wait(t.Context(), "shutting down") {
		t.Errorf("it is not shutting down:\n%s", log)
	}
	release()
	accepted(t, <-answer)
	<-ended
	s.awaitTaken(waits, "$1")
	s.awaitTaken(async, "$1")

	s.start()
	accepted(t, s.notify("$2", waits, async))
	s.awaitTaken(waits, "$1", "$2")
	s.awaitTaken(async, "$1", "$2")
	s.check() // no kill explains a push that arrives twice
}

func TestS11_AGatewayThatIsAskedToEndKeepsTheRest(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	s.config = strings.Replace(s.config, "grace_period 10s", "grace_period 1s", 1)
	if err := s.gateway.load(s.config); err != nil {
		t.Fatal(err)
	}
	s.hs = s.gateway.homeserver()
	async := s.phoneOf("org.example.async", "async")
	fails := s.phoneOf("org.example.async", "fails")
	release := s.hold(async)
	s.set(behaviour{status: 503}, fails)
	accepted(t, s.notify("$1", async, fails))
	accepted(t, s.notify("$2", async, fails))
	s.arrived(async)
	start := time.Now()
	s.gateway.terminate()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s to end, with a grace period of 1s", took)
	}
	s.hangUp()
	release()
	s.set(behaviour{}, fails)
	s.start()
	s.awaitTaken(async, "$1", "$2")
	s.awaitTaken(fails, "$1", "$2")
	s.check()
}

// Each push service gets two requests for a device: the first one fails, and the outbox makes the second one from what it kept.
func TestS14_NoContentLeavesWhereOnlyIDsMay(t *testing.T) {
	t.Parallel()
	s := newPushServices(t)
	gateway := startGateway(t, durable+s.apps(".ids", "content event_id_only\nwait 0")+s.apps(".full", "content full\nwait 0"), "matrix_push")
	ids, full := s.handsets(".ids", ""), s.handsets(".full", "")
	var devices []device
	for _, h := range append(slices.Clone(ids), full...) {
		h.fail()
		devices = append(devices, h.device)
	}
	accepted(t, gateway.homeserver().notify(alert("$1", devices...)))
	for i, h := range ids {
		h.wantEvents("$1")
		full[i].wantEvents("$1")
		h.wantAsked(2)
		for _, text := range []string{"the secret content", "m.room.message", "alice", "Alice", "The room"} {
			for _, r := range h.requests() {
				if bytes.Contains(r.payload, []byte(text)) {
					t.Errorf("%s: %q leaves in %s", h.AppID, text, r.payload)
				}
			}
		}
		if r := full[i].requests()[0]; !bytes.Contains(r.payload, []byte("the secret content")) {
			t.Errorf("%s: there is no content in %s", full[i].AppID, r.payload)
		}
	}
}

func TestS16_TheOrderOfADeviceIsKept(t *testing.T) {
	t.Parallel()
	s := newSafeScene(t, "")
	const events = 60
	var devices []device
	for _, appID := range []string{"org.example.up", "org.example.soon", "org.example.async"} {
		for i := range 4 {
			devices = append(devices, s.phoneOf(appID, fmt.Sprint(appID, i)))
		}
	}
	behaviours := []behaviour{{}, {}, {status: 503}, {dropped: true}, {}, hasToWait}
	var want []string
	for i := range events {
		for j, d := range devices {
			s.set(behaviours[(i/5+j)%len(behaviours)], d)
		}
		event := fmt.Sprint("$", i)
		want = append(want, event)
		accepted(t, s.notify(event, devices...))
	}
	s.set(behaviour{}, devices...)
	s.reload()
	for _, d := range devices {
		s.awaitTaken(d, want...)
	}
	if r := s.check(); r.Taken != events*len(devices) {
		t.Errorf("%d of %d arrived", r.Taken, events*len(devices))
	}
}

func TestS17_WhatHasExpiredIsNotSent(t *testing.T) {
	t.Parallel()
	u := newUnreliable(t)
	const ttl = 2 * time.Second
	s := &safeScene{
		unreliable: u, t: t, gateway: newProcess(t),
		config: gatewayConfig(durable+u.moreUp("org.example.calls", "wait 0\nttl 2s"), "matrix_push"),
	}
	s.start()
	d, waiting := s.phoneOf("org.example.calls", "phone"), s.phoneOf("org.example.calls", "waiting")
	s.set(behaviour{status: 503}, d, waiting)
	accepted(t, s.notify("$1", d, waiting))
	accepted(t, s.notify("$2", d, waiting))
	answered := time.Now()
	s.await("an attempt failed", func() bool { return s.tried(d) > 0 && s.tried(waiting) > 0 })
	<-time.After(time.Until(answered.Add(ttl)))
	accepted(t, s.notify("$3", d)) // behind the expired ones
	s.set(behaviour{}, d, waiting)
	s.reload()
	s.awaitTaken(d, "$3")
	// The expired push does not arrive after a restart, either.
	s.gateway.terminate()
	s.start()
	accepted(t, s.notify("$4", d, waiting))
	s.awaitTaken(d, "$3", "$4")
	s.awaitTaken(waiting, "$4")
}
