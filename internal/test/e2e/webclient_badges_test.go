package e2e

import (
	"fmt"
	"testing"
)

// badgeUpdate returns a badge update as Synapse sends it.
func badgeUpdate(unread int) map[string]any {
	return map[string]any{"id": "", "type": nil, "sender": "", "counts": map[string]any{"unread": unread}}
}

// Firefox gives a subscription up after 16 pushes without a notification. See also TestV02_BadgeUpdatesDoNotCostABrowserItsSubscription.
func TestV05_BadgeUpdatesKeepTheSubscriptionOfAClientThatShowsThem(t *testing.T) {
	t.Parallel()
	const updates = 20
	for name, tt := range map[string]struct {
		edits []string
		keeps bool
	}{
		"the client": {nil, true},
		"a client that shows nothing": {[]string{
			"if (!message.event_id) return showCounts(message)", "if (!message.event_id) return",
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWebClient(t, "badges on", map[string][]string{"config.js": {"eventsOnly: true", "eventsOnly: false"}, "worker.js": tt.edits})
			b := w.firefox()
			p := b.Open(w.url)
			turnOn(p)
			w.signIn(p)
			waitState(p, accountState, "registered")
			p.Close()
			for unread := range updates {
				w.receives(badgeUpdate(unread + 1))
			}
			if !tt.keeps {
				given := w.service.Wait(w.subscription().Endpoint, gaveUp)
				if given.Unregistered != 201 {
					t.Errorf("the browser gave the subscription up because of %d", given.Unregistered)
				}
				w.hs.notify(w.gateway.homeserver(), says("$late", "!room:hs.test", "Too late"))
				if left := w.hs.registered(); len(left) != 0 {
					t.Errorf("%d pushers are left", len(left))
				}
				p = b.Open(w.url)
				p.WaitText(pushMessage, "The browser has ended this page’s subscription")
				return
			}
			p = b.Open(w.url)
			waitShown(p, seen{fmt.Sprintf("Unread messages: %d", updates), ""})
			p.Close()
			var want []seen
			for i := range 10 {
				w.receives(says(fmt.Sprint("$", i), fmt.Sprintf("!%d:hs.test", i), fmt.Sprintf("Message %d of ten", i)))
				want = append(want, seen{"Alice Liddell in Mad Tea Party", fmt.Sprintf("Message %d of ten", i)})
			}
			if sub := w.subscription(); sub.Unregistered != 0 || len(w.service.Subscriptions()) != 1 {
				t.Errorf("the browser gave the subscription up: %d", sub.Unregistered)
			}
			waitShown(b.Open(w.url), want...)
		})
	}
}
