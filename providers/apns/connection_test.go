package apns

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// UnrelatedKeyIdInToken means that the connection began with another key, so another connection is made once.
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
func TestAKeyThatItsConnectionDoesNotKnowGetsAnotherConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.want(t, alert(), providers.KindDelivered, "delivered")
	b.Answer("", apnstest.Answer{Reason: unrelatedKey})
	push := alert()
	b.want(t, push, providers.KindDelivered, "delivered")
	if got := b.last(t); got.ID != push.ID || b.Connections() != 2 {
		t.Errorf("%d connections were made", b.Connections())
	}
}

// A proxy that always gives this answer must not make the gateway reconnect for each push.
func TestAServerThatNeverKnowsTheKeyCostsNoConnectionForEachPush(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.Answer("", apnstest.Answer{Reason: unrelatedKey, Times: -1})
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() { b.want(t, alert(), providers.KindMisconfigured, "unrelated_key_id_in_token") })
	}
	group.Wait()
	for range 20 {
		o := b.Push(t.Context(), alert())
		if o.Kind != providers.KindMisconfigured || o.Word != unrelatedKey {
			t.Errorf("got %+v", o)
		}
	}
	if n := b.Connections(); n > 12 {
		t.Errorf("%d connections were made", n)
	}
	for token, sent := range sentTo(b) {
		if sent > 240 {
			t.Errorf("%d requests were made for %s", sent, token[:4])
		}
	}
}

func sentTo(b *bench) map[string]int {
	sent := make(map[string]int)
	for _, r := range b.Requests() {
		sent[r.Token]++
	}
	return sent
}

func TestConnectionsAreMadeAgainOnceAMinuteAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r renewal
		renewed := 0
		since := func(began time.Time) bool { return r.since(began, func() { renewed++ }) }
		first := time.Now()
		time.Sleep(time.Second)
		for _, step := range []struct {
			wait    time.Duration
			began   func() time.Time
			again   bool
			renewed int
		}{
			{0, func() time.Time { return first }, true, 1},
			{0, func() time.Time { return first }, true, 1}, // it began before the new connections
			{time.Second, time.Now, false, 1},
			{reconnectEvery, time.Now, true, 2},
		} {
			time.Sleep(step.wait)
			if again := since(step.began()); again != step.again || renewed != step.renewed {
				t.Errorf("after %s: again is %t, and connections were made again %d times", step.wait, again, renewed)
			}
		}
	})
}

// Apple may give its reason in the GOAWAY that ends a connection. The reason is not about a device.
func TestTheReasonOfAGoAwayIsShownAndCostsNoPusher(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, reason, body string
		want               providers.Kind
		wantReason, word   string
	}{
		{"the operator's", "BadCertificateEnvironment", "", providers.KindMisconfigured, "bad_certificate_environment", "BadCertificateEnvironment"},
		{"the service's", "Shutdown", "", providers.KindRetry, "network", "Shutdown"},
		{"a new one", "SomethingNew", "", providers.KindRetry, "network", "SomethingNew"},
		{"a device's", "Unregistered", "", providers.KindRetry, "network", "Unregistered"},
		{"no word", "two words/" + device, "", providers.KindRetry, "network", ""},
		{"no JSON", "", "<html>" + device, providers.KindRetry, "network", ""},
		{"10,000 letters", "", `{"reason":"` + strings.Repeat("a", 10_000) + `"}`, providers.KindRetry, "network", ""},
		{"quotes and lines", "", "\"\n\\\x00\xff", providers.KindRetry, "network", ""},
		{"nothing", "", "", providers.KindRetry, "network", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.Answer("", apnstest.Answer{GoAway: true, Drop: true, Reason: test.reason, Body: test.body})
			o := b.Push(t.Context(), alert())
			if o.Kind != test.want || o.Reason != test.wantReason || o.Word != test.word || o.Err == nil || !contains(o.Err.Error(), "GOAWAY") {
				t.Errorf("got %+v", o)
			}
			if o.Err != nil && (contains(o.Err.Error(), device) || len(o.Err.Error()) > 100) {
				t.Errorf("the detail is %v", o.Err)
			}
		})
	}
}
