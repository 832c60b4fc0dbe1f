package gateway

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestARequestThatComesAgain(t *testing.T) {
	t.Parallel()
	withData := func(data string) string {
		return event("$e", `{"app_id":"app","pushkey":"key","data":`+data+`}`)
	}
	fake := event(fakeEventID, device("key"))
	tests := []struct {
		name, first, second string
		want                int
	}{
		{"with the same event is delivered once", event("$e", device("key")), event("$e", device("key")), 1},
		{"with the same event by its seed-style id is delivered once", `{"notification":{"id":"e",` + oneDevice + `}}`, `{"notification":{"id":"e",` + oneDevice + `}}`, 1},
		{"after the client registered again is delivered once", event("$e", device("key")), event("$e", deviceOf("app", "key", 2000)), 1},
		{"with another event is delivered", event("$1", device("key")), event("$2", device("key")), 2},
		{"for another pushkey is delivered", event("$e", device("key")), event("$e", device("key2")), 2},
		{"for another app_id is delivered", event("$e", device("key")), event("$e", deviceOf("app2", "key", 1000)), 2},
		{"for another account on the device is delivered", withData(`{"account":1}`), withData(`{"account":2}`), 2},
		{"without an event is delivered", badge(device("key")), badge(device("key")), 2},
		{"with Element's constant event is delivered (hedwig)", fake, fake, 2},
		{"with Element's constant event by its id is delivered", `{"notification":{"id":"` + fakeEventID + `",` + oneDevice + `}}`, `{"notification":{"id":"` + fakeEventID + `",` + oneDevice + `}}`, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := always(providers.Delivered())
				r := newRig(t, appFor("app*", p))
				wantLine(t, r.notify(tt.first), `[]`)
				wantLine(t, r.notify(tt.second), `[]`)
				wantPushes(t, p, tt.want)
			})
		})
	}
}

func TestAPreviousAttemptThatDeliveredNothingIsMadeAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		first providers.Outcome
		want  string
	}{
		{"it failed", providers.Retry("unreachable", 0, nil), `503 after 5s`},
		{"it was misconfigured", providers.Misconfigured("bad_topic", nil), `503 after 1m0s`},
		{"it was unusable", providers.Unusable("bad_token", nil), `["key"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := inTurn(tt.first, providers.Delivered())
				r := newRig(t, appFor("app", p))
				wantLine(t, r.notify(event("$e", device("key"))), tt.want)
				wantLine(t, r.notify(event("$e", device("key"))), `[]`)
				wantPushes(t, p, 2)
			})
		})
	}
}

func TestADeliveredEventIsForgottenAfterTheWindow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		window time.Duration
		later  time.Duration
		want   int
	}{
		{"just before its end it is known", time.Hour, time.Hour - 1, 1},
		{"at its end it is forgotten", time.Hour, time.Hour, 2},
		{"long after it is forgotten", time.Hour, 100 * time.Hour, 2},
		{"without a window nothing is remembered", 0, 0, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := always(providers.Delivered())
				r := newRig(t, appFor("app", p))
				r.Dedupe = tt.window
				r.notify(event("$e", device("key")))
				time.Sleep(tt.later)
				r.notify(event("$e", device("key")))
				wantPushes(t, p, tt.want)
			})
		})
	}
}

func TestRequestsAtTheSameMomentShareOnePush(t *testing.T) {
	t.Parallel()
	for _, o := range []providers.Outcome{
		providers.Delivered(), providers.Rejected("gone"), providers.Retry("unavailable", 7*time.Second, nil), providers.Dropped("too_large", nil),
	} {
		t.Run("that is "+o.Kind.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := after(time.Second, o)
				r := newRig(t, appFor("app", p))
				const n = 10
				answers := make(chan string, n)
				for range n {
					go func() { answers <- r.notify(event("$e", device("key"))) }()
				}
				first := <-answers
				for range n - 1 {
					wantLine(t, <-answers, first)
				}
				wantPushes(t, p, 1)
			})
		})
	}
}

func TestOneThatJoinedALongWaitKeepsItsOwnPatience(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := after(7*time.Second, providers.Delivered())
		r := newRig(t, appFor("app", p))
		go r.notify(event("$e", device("key")))
		time.Sleep(3 * time.Second)
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		wantPushes(t, p, 1)
	})
}

func TestOneThatRegisteredAfterTheDeathIsNotDeadWithTheOneItJoined(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := providers.Outcome{Kind: providers.KindRejected, Since: time.Unix(1500, 0)}
		p := after(time.Second, gone)
		r := newRig(t, appFor("app", p))
		stale := make(chan string)
		go func() { stale <- r.notify(event("$e", deviceOf("app", "key", 1000))) }()
		synctest.Wait()
		wantLine(t, r.notify(event("$e", deviceOf("app", "key", 2000))), `[]`)
		wantLine(t, <-stale, `["key"]`)
		wantPushes(t, p, 1)
	})
}

func TestARequestThatNamesTwoRegistrationsOfADevice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := providers.Outcome{Kind: providers.KindRejected, Since: time.Unix(1500, 0)}
		r := newRig(t, appFor("app", always(gone)))
		stale, fresh := deviceOf("app", "key", 1000), deviceOf("app", "key", 2000)
		wantLine(t, r.notify(event("$e", stale, fresh)), `[]`) // a homeserver would drop both pushers
	})
}

func TestNoTwoEventsShareAKey(t *testing.T) {
	t.Parallel()
	device := func(appID, pushkey, data string) *providers.Device {
		return &providers.Device{AppID: appID, Pushkey: pushkey, Data: []byte(data)}
	}
	keys := map[eventKey]string{}
	for _, tt := range []struct {
		event string
		d     *providers.Device
	}{
		{"$e", device("a", "b", "")},
		{"$e", device("ab", "", "")},
		{"$e", device("", "ab", "")},
		{"$eb", device("a", "", "")},
		{"$", device("a", "b", "e")},
		{"$e", device("a", "b", "{}")},
	} {
		k := keyOfEvent(tt.event, tt.d)
		this := fmt.Sprint(tt.event, *tt.d)
		if other, ok := keys[k]; ok {
			t.Errorf("%s and %s share a key", this, other)
		}
		keys[k] = this
	}
	if keyOfEvent("", device("a", "b", "")) != (eventKey{}) {
		t.Error("something that is not an event has a key")
	}
}

func keyNumber(n int) (k eventKey) {
	binary.BigEndian.PutUint64(k[:], uint64(n)+1)
	return k
}

func TestADeliveredEventIsKnownForAWindowAtLeast(t *testing.T) {
	t.Parallel()
	const window = time.Minute
	start := time.Unix(1_700_000_000, 0)
	var s deliveredSet
	for second := range 600 { // one event a second
		now := start.Add(time.Duration(second) * time.Second)
		s.age(window, now)
		for n := max(0, second-59); n < second; n++ {
			if !s.has(keyNumber(n)) {
				t.Fatalf("after %d s the event of %d s is forgotten", second, n)
			}
		}
		if second >= 121 && s.has(keyNumber(second-121)) {
			t.Fatalf("after %d s the event of %d s is still known", second, second-121)
		}
		s.add(keyNumber(second), now)
	}
}

func TestAnEventRememberedLongAfterTheLastRequestIsKnownForAWindow(t *testing.T) {
	t.Parallel()
	const window = time.Minute
	start := time.Unix(1_700_000_000, 0)
	var s deliveredSet
	s.add(keyNumber(1), start)
	late := start.Add(2*window - time.Second) // the end of a slow attempt
	s.add(keyNumber(2), late)
	s.age(window, late.Add(2*time.Second))
	if !s.has(keyNumber(2)) {
		t.Error("it is forgotten after 2 s")
	}
	s.age(window, late.Add(window))
	if s.has(keyNumber(2)) || s.young != nil || s.old != nil {
		t.Error("it is still known after a window in which nothing was added")
	}
}

func TestM41_EventsForgottenEarlyAreReportedUnlessTheOutboxHasThem(t *testing.T) {
	t.Parallel()
	for _, claims := range []bool{false, true} {
		r := newRig(t, appFor("app", always(providers.Delivered()))).withOutbox()
		if claims {
			r.use(&sharedBox{memoryBox: r.box})
		}
		s := &r.Shared.delivered
		s.young, s.old, s.born, s.latest = make(map[eventKey]struct{}), map[eventKey]struct{}{keyNumber(0): {}}, r.Now(), r.Now()
		for n := range maxGeneration {
			s.young[keyNumber(n+1)] = struct{}{}
		}
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		if got := slices.Contains(r.saw.seen(), "forgot: 1"); got == claims {
			t.Errorf("with an outbox that has the events too: %v; it is reported: %v", claims, got)
		}
	}
}

func TestAFloodOfEventsIsBounded(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	var s deliveredSet
	forgotten := 0
	for n := range 2*maxGeneration + 1 { // without requests in between, as when events are recalled after a restart
		forgotten += s.add(keyNumber(n), start)
	}
	if forgotten != maxGeneration {
		t.Errorf("%d are reported as forgotten, want %d", forgotten, maxGeneration)
	}
	s.age(time.Hour, start)
	if n := len(s.young) + len(s.old); n > 2*maxGeneration {
		t.Errorf("%d events are remembered", n)
	}
	if s.has(keyNumber(0)) || !s.has(keyNumber(maxGeneration)) || !s.has(keyNumber(2*maxGeneration)) {
		t.Error("not the newest are remembered")
	}
}
