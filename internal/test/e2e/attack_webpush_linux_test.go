package e2e

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"
)

// A stranger may know a browser's pushkey, which is its public key, but not its endpoint. Answers of the stranger's own server for that
// pushkey concern only the stranger's endpoint.
func TestAServerOfSomebodyElseSaysNothingAboutASubscription(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	for i, tt := range []struct{ name, endpoint string }{
		{"it is gone", "https://66.6.6.6/410/stranger-endpoint"},
		{"it is not found", "https://66.6.6.7/404/stranger-endpoint"},
		{"come back in an hour", "https://66.6.6.8/418/stranger-endpoint"}, // 503 with Retry-After
		{"too many requests", "https://66.6.6.9/429/stranger-endpoint"},
		{"it never answers", "https://66.6.6.10/slow/stranger-endpoint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			victim := l.provenWeb(fmt.Sprintf("https://20.0.0.1/201/victim-%d", i))
			stranger := victim.device
			stranger.PushkeyTS = at(math.MaxInt64)
			stranger.Data = map[string]any{"endpoint": tt.endpoint, "auth": "AAAAAAAAAAAAAAAAAAAAAA"}
			for range 2 {
				r := l.gateway.homeserver().notify(alert(fmt.Sprint("$attack", i), stranger))
				t.Logf("the attack is answered %d %s", r.Status, r.Body)
			}
			// As it was registered, as it is registered again, and as some clients send it.
			for _, ts := range []*int64{victim.PushkeyTS, at(time.Now().Unix()), at(4_102_444_800), nil} {
				victim.PushkeyTS = ts
				took, err := victim.push(5 * time.Second)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("delivered after %v", took)
			}
		})
	}
}

// A registration time far ahead of the clock makes a verdict last no longer than the current time would.
func TestARegistrationOfTheFutureIsNotRejectedUntilThen(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	p256dh, auth := newKeys()
	for _, d := range []device{
		{AppID: "org.example.phone", Pushkey: "https://20.0.0.1/410/phone-endpoint"},
		{AppID: "web.example", Pushkey: p256dh, Data: map[string]any{"endpoint": "https://20.0.0.1/410/browser-endpoint", "auth": auth}},
	} {
		c := &client{device: d, lab: l, hs: l.gateway.homeserver()}
		c.PushkeyTS = at(math.MaxInt64)
		if r := c.hs.notify(alert("$dead", c.device)); !slices.Equal(r.Rejected, []string{d.Pushkey}) {
			t.Errorf("answered %d %s", r.Status, r.Body)
		}
		l.answer(c.endpoint(), http.StatusCreated)
		c.PushkeyTS = at(time.Now().Add(time.Minute).Unix()) // the client registered it again
		if _, err := c.push(5 * time.Second); err != nil {
			t.Error(err)
		}
	}
}
