package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// probing returns a gateway with a key for probes, whose fuses count, and the nonce that it made.
func probing(t *testing.T, apps ...*App) (*rig, string) {
	t.Helper()
	r := newRig(t, apps...)
	r.Fuse = FuseOptions{Share: 0.5, Window: time.Hour}
	r.Shared.Probes.SetKey([]byte("a key that all gateways share"))
	return r, makeNonce(t, r)
}

func makeNonce(t *testing.T, r *rig) string {
	t.Helper()
	probe, err := r.Shared.Probes.Make(t.Context(), r.Now())
	if err != nil || probe.AppID != ProbeAppID || !probe.Expires.Equal(r.Now().Truncate(time.Second).Add(ProbeTime)) {
		t.Fatalf("made %+v, %v", probe, err)
	}
	return probe.Pushkey
}

// probe has the gateway handle a request from an address, and returns the answer in one line.
func (r *rig) probe(from, body string) string {
	r.t.Helper()
	request, err := Decode([]byte(body), 1000)
	if err != nil {
		r.t.Fatalf("%v: %s", err, body)
	}
	if request.HasProbe() {
		request.Arrived = &Sighting{At: r.Now(), From: from, Site: "push.example.org on :443", TLS: "TLS 1.3", UserAgent: "Synapse/1.163.2"}
	}
	return line(r.Notify(request, r.site, everything))
}

func probeOf(nonce string) string {
	return fmt.Sprintf(`{"app_id":%q,"pushkey":%q,"data":{}}`, ProbeAppID, nonce)
}

// doctors is a probe that doctor itself sends.
func doctors(nonce string) string {
	return fmt.Sprintf(`{"app_id":%q,"pushkey":%[2]q,"data":{%[1]q:true}}`, ProbeAppID, nonce)
}

// remembered returns how many nonces are remembered.
func remembered(r *rig) int {
	p := r.Shared.Probes
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Len()
}

func wantSeen(t *testing.T, r *rig, nonce, doctor, homeserver string) {
	t.Helper()
	seen, ok := r.Shared.Probes.Seen(nonce, r.Now())
	from := func(s *Sighting) string {
		if s == nil {
			return ""
		}
		return s.From
	}
	if !ok || from(seen.Doctor) != doctor || from(seen.Homeserver) != homeserver {
		t.Errorf("seen were requests of doctor from %q and of a homeserver from %q (%v), want %q and %q",
			from(seen.Doctor), from(seen.Homeserver), ok, doctor, homeserver)
	}
}

func TestAProbeIsSeenAndItsFirstSenderIsRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, nonce := probing(t)
		wantSeen(t, r, nonce, "", "")
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(nonce))), `[]`)
		wantLine(t, r.probe("203.0.113.9", badge(probeOf(nonce))), `[]`) // replayed by somebody else
		wantSeen(t, r, nonce, "", "192.0.2.1")
		if got := r.saw.seen(); !slices.Equal(got, []string{"probed from 192.0.2.1 by doctor: false"}) {
			t.Errorf("reported was %q", got)
		}
	})
}

func TestOnlyDoctorIsAnsweredWhatWasSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, nonce := probing(t)
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(nonce))), `[]`)
		answer := `{"rejected":` + r.probe("198.51.100.7", badge(doctors(nonce))) + "}"
		var got struct {
			Rejected []string  `json:"rejected"`
			Seen     Sightings `json:"org.matrix-push.doctor"`
		}
		err := json.Unmarshal([]byte(answer), &got)
		if err != nil || got.Rejected == nil || got.Seen.Doctor == nil || got.Seen.Homeserver == nil {
			t.Fatalf("answered %s, %v", answer, err)
		}
		want := Sighting{
			At: r.Now(), From: "192.0.2.1", Site: "push.example.org on :443", TLS: "TLS 1.3", UserAgent: "Synapse/1.163.2",
		}
		s := *got.Seen.Homeserver
		if !s.At.Equal(want.At) {
			t.Errorf("seen at %s, want %s", s.At, want.At)
		}
		if s.At = want.At; s != want {
			t.Errorf("seen is %+v, want %+v", s, want)
		}
		wantSeen(t, r, nonce, "198.51.100.7", "192.0.2.1")
	})
}

func TestAnotherGatewayWithTheSameKeyAcceptsAProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, nonce := probing(t)
		other, _ := probing(t)
		wantLine(t, other.probe("192.0.2.1", badge(probeOf(nonce))), `[]`)
		wantSeen(t, one, nonce, "", "")
		wantSeen(t, other, nonce, "", "192.0.2.1")
	})
}

func TestAForgedProbeIsADeviceOfAnUnknownApp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, nonce := probing(t)
		stranger, _ := probing(t)
		stranger.Shared.Probes.SetKey([]byte("another key"))
		theirs := makeNonce(t, stranger)
		changed, err := base64.RawURLEncoding.DecodeString(nonce)
		if err != nil {
			t.Fatal(err)
		}
		changed[8]++ // its time
		for name, forged := range map[string]string{
			"signed with another key": theirs, "with another time": base64.RawURLEncoding.EncodeToString(changed), "cut": nonce[:len(nonce)-4],
			"longer": nonce + "AAAA", "no base64": strings.Repeat("*", len(nonce)), "of one character": "A",
			"of a thousand characters": strings.Repeat("A", 1000),
			"of another version":       "B" + nonce[1:],
		} {
			wantLine(t, r.probe("192.0.2.1", badge(probeOf(forged))), fmt.Sprintf("[%q]", forged))
			if _, ok := r.Shared.Probes.Seen(forged, r.Now()); ok {
				t.Errorf("a nonce %s is accepted", name)
			}
		}
		if n := remembered(r); n != 0 {
			t.Errorf("%d nonces are remembered", n)
		}
		if got := r.Fuses()[0]; got.Pushkeys != 8 {
			t.Errorf("the fuse of unknown apps has not counted 8 pushkeys: %+v", got)
		}
	})
}

func TestAnExpiredProbeIsRejectedAndForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, nonce := probing(t)
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(nonce))), `[]`)
		time.Sleep(ProbeTime - time.Second)
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(nonce))), `[]`)
		time.Sleep(3 * time.Second)
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(nonce))), fmt.Sprintf("[%q]", nonce)) // a homeserver drops the pusher
		wantLine(t, r.probe("192.0.2.1", badge(doctors(nonce))), fmt.Sprintf("[%q]", nonce))
		wantSeen(t, r, nonce, "", "")
		if n := remembered(r); n != 0 {
			t.Errorf("%d nonces are remembered", n)
		}
	})
}

// A probe that arrives late is remembered only as long as its nonce is valid, even after the timer has ended.
func TestWhatWasSeenIsForgottenWhenTheNonceExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, nonce := probing(t)
		time.Sleep(ProbeTime - time.Minute)
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(nonce))), `[]`)
		wantSeen(t, r, nonce, "", "192.0.2.1")
		later := makeNonce(t, r)
		wantLine(t, r.probe("192.0.2.2", badge(probeOf(later))), `[]`)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := remembered(r); n != 1 {
			t.Errorf("%d nonces are remembered, want only the later one", n)
		}
		wantSeen(t, r, nonce, "", "")
		wantSeen(t, r, later, "", "192.0.2.2")
		r.Shared.Close()
		wantSeen(t, r, later, "", "192.0.2.2") // starts no timer
		time.Sleep(ProbeTime)
		synctest.Wait()
		if n := remembered(r); n != 1 {
			t.Error("a timer runs after the end")
		}
		wantSeen(t, r, later, "", "") // its age is checked

		r, nonce = probing(t)
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(nonce))), `[]`)
		time.Sleep(ProbeTime)
		synctest.Wait()
		if n := remembered(r); n != 0 {
			t.Errorf("%d nonces are remembered, although nobody has asked since", n)
		}
	})
}

func TestAProbeOfAGatewayWhoseClockIsAheadIsAccepted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := probing(t)
		probe, err := r.Shared.Probes.Make(t.Context(), r.Now().Add(5*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(probe.Pushkey))), `[]`)
		time.Sleep(ProbeTime)
		wantSeen(t, r, probe.Pushkey, "", "")
	})
}

func TestAProbeIsCountedNowhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r, nonce := probing(t, appFor("*", p)) // which would serve the app_id
		r.withOutbox()
		wantLine(t, r.probe("192.0.2.1", event("$e", probeOf(nonce))), `[]`)
		wantLine(t, r.probe("192.0.2.1", event("$e", probeOf(nonce))), `[]`)
		wantPushes(t, p, 0)
		if attempts := r.attempts(); len(attempts) > 0 || r.store.lookups > 0 || len(r.box.log) > 0 {
			t.Errorf("attempts %v, %d look-ups, outbox %v", attempts, r.store.lookups, r.box.log)
		}
		if len(r.saw.answers) > 0 {
			t.Errorf("counted is %q", r.saw.answers)
		}
		for _, f := range r.Fuses() {
			if f.Pushkeys > 0 {
				t.Errorf("a fuse has counted: %+v", f)
			}
		}
		if r.Shared.journal.accounts.Len() > 0 || len(r.Shared.delivered.young) > 0 {
			t.Error("the journal or dedupe remembers a probe")
		}
	})
}

// Dendrite puts all of a user's devices at a gateway into one request.
func TestTheOtherDevicesOfARequestWithAProbeGetTheirPushes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r, nonce := probing(t, appFor("app", p))
		wantLine(t, r.probe("192.0.2.1", event("$e", device("key"), probeOf(nonce), deviceOf("unknown", "dead", 0))), `["dead"]`)
		wantPushes(t, p, 1)
		wantSeen(t, r, nonce, "", "192.0.2.1")
	})
}

func TestAFloodOfProbesIsRememberedWithinBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := probing(t)
		for range 2 * maxProbes {
			wantLine(t, r.probe("192.0.2.1", badge(probeOf(makeNonce(t, r)))), `[]`)
		}
		if n := remembered(r); n != maxProbes {
			t.Errorf("%d nonces are remembered, want %d", n, maxProbes)
		}
		time.Sleep(ProbeTime + time.Second)
		synctest.Wait()
		if n := remembered(r); n != 0 {
			t.Errorf("%d nonces are remembered after their time", n)
		}
	})
}

func TestAMadeUpProbeCostsWhatADeviceOfAnUnknownAppCosts(t *testing.T) {
	r, nonce := probing(t)
	r.Gateway.Observer = deaf{}
	forged := strings.Repeat("A", len(nonce))
	r.Fuse.Share = 1 // the fuse keeps some of what it counts
	allocations := func(body string) float64 {
		request, err := Decode([]byte(body), 1000)
		if err != nil {
			t.Fatal(err)
		}
		request.Arrived = &Sighting{At: r.Now()}
		return testing.AllocsPerRun(100, func() { r.Notify(request, r.site, everything) })
	}
	unknown := allocations(badge(deviceOf("unknown", forged, 0)))
	if got := allocations(badge(probeOf(forged))); got > unknown+12 { // an HMAC
		t.Errorf("a made-up nonce takes %v allocations, and another device %v", got, unknown)
	}
	if n := remembered(r); n != 0 {
		t.Errorf("%d nonces are remembered", n)
	}
}

func TestASenderCannotMakeASightingLarge(t *testing.T) {
	t.Parallel()
	r, nonce := probing(t)
	request, err := Decode([]byte(badge(probeOf(nonce))), 1)
	if err != nil {
		t.Fatal(err)
	}
	request.Arrived = &Sighting{At: r.Now(), UserAgent: strings.Repeat("x", 1<<20)}
	r.Notify(request, r.site, everything)
	if seen, _ := r.Shared.Probes.Seen(nonce, r.Now()); seen.Homeserver == nil || len(seen.Homeserver.UserAgent) > 300 {
		t.Error("the user agent was kept whole, or nothing was seen")
	}
}

func TestWithoutAKeyNothingIsAProbeAndTheErrorSaysWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, nonce := probing(t)
		r := newRig(t)
		wantLine(t, r.probe("192.0.2.1", badge(probeOf(nonce))), fmt.Sprintf("[%q]", nonce))
		if _, err := r.Shared.Probes.Make(t.Context(), r.Now()); err == nil || !strings.Contains(err.Error(), "not loaded yet") {
			t.Errorf("before the storage answered: %v", err)
		}
		r.Shared.Probes.KeyFailed(errors.New("the storage is on fire"))
		if _, err := r.Shared.Probes.Make(t.Context(), r.Now()); err == nil || !strings.Contains(err.Error(), "the storage is on fire") {
			t.Errorf("after the storage failed: %v", err)
		}
		go r.Shared.Probes.SetKey([]byte("key"))
		if _, err := r.Shared.Probes.Make(t.Context(), r.Now()); err != nil {
			t.Errorf("a nonce does not wait for the key: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newProbes().Make(ended, r.Now()); err == nil {
			t.Error("without a key, a nonce was made")
		}
	})
}
