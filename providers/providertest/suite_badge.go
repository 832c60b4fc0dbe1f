package providertest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// testBadges sends badge updates, as a homeserver does when a room was read on another device. If the phone rings for one, its user
// looks and finds nothing.
func (s Suite) testBadges(t *testing.T) {
	t.Parallel()
	if s.Rings == nil {
		t.Fatal("Suite.Rings is missing: it reports whether a request makes the device alert its user")
	}
	b, _, pushes := s.startRecorded(t)
	rings := func(t *testing.T) (n int) {
		t.Helper()
		for _, r := range pushes.take() {
			if s.Rings(r.Request, s.body(t, r)) {
				n++
			}
		}
		return n
	}
	o, ok := b.call(t.Context(), t, b.push, patience)
	switch {
	case !ok:
		return
	case o.Kind != providers.KindDelivered:
		t.Fatalf("the outcome of New's push is %s (%s, %v), but the push service accepted it", o.Kind, o.Reason, o.Err)
	case rings(t) == 0:
		t.Fatal("Suite.Rings reports that New's push does not ring. It is an alert: either Rings fails to detect that, or the push alerts nobody")
	}
	for name, n := range badgeUpdates() {
		for how, n := range b.forms(t, n) {
			push := copyOf(b.push)
			push.Notification = n
			push.Device.Tweaks = json.RawMessage(`{"sound":"default","highlight":true}`)
			o, ok := b.call(t.Context(), t, push, patience)
			if !ok {
				return
			}
			if o.Kind != providers.KindDelivered && o.Kind != providers.KindDropped {
				t.Errorf("%s%s: the outcome is %s (%s, %v), want delivered or dropped", name, how, o.Kind, o.Reason, o.Err)
			}
			if rings(t) > 0 {
				t.Errorf("%s%s: the device rings for a badge update. It has no event: send the counts silently, or return Dropped", name, how)
			}
		}
	}
}

// badgeUpdates returns badge updates, by what they show.
func badgeUpdates() map[string]*providers.Notification {
	all := make(map[string]*providers.Notification)
	add := func(name, counts string, c providers.Counts) {
		for _, prio := range []providers.Priority{providers.PrioHigh, providers.PrioLow} {
			body := fmt.Sprintf(`{"notification":{"id":"","type":null,"sender":"","prio":%q%s,"devices":[]}}`, prio, counts)
			all[fmt.Sprintf("%s, priority %s", name, prio)] = &providers.Notification{
				Badge: true, Prio: prio, Counts: c, Body: json.RawMessage(body),
			}
		}
	}
	zero, one, many := int64(0), int64(1), int64(4321)
	add("everything was read", `,"counts":{"unread":0,"missed_calls":0}`, providers.Counts{Unread: &zero, MissedCalls: &zero})
	add("all messages were read", `,"counts":{"unread":0}`, providers.Counts{Unread: &zero})
	add("some messages are unread", `,"counts":{"unread":4321}`, providers.Counts{Unread: &many})
	add("a call was missed", `,"counts":{"missed_calls":1}`, providers.Counts{MissedCalls: &one})
	add("some of both", `,"counts":{"unread":4321,"missed_calls":1}`, providers.Counts{Unread: &many, MissedCalls: &one})
	add("no counts", ``, providers.Counts{})
	return all
}

// forms returns the notification, and what the provider reduces it to, by the suffix for the test's messages.
func (b *bench) forms(t *testing.T, n *providers.Notification) map[string]*providers.Notification {
	t.Helper()
	forms := map[string]*providers.Notification{"": n}
	r, ok := b.provider.(providers.Reducer)
	if !ok {
		return forms
	}
	reduced, ok := attempt(t, b.suite.run, "Reduce", patience, func() *providers.Notification { return r.Reduce(n) })
	switch {
	case !ok:
	case reduced == nil:
		t.Error("Reduce returns nil")
	default:
		forms[", after Reduce"] = reduced
	}
	return forms
}
