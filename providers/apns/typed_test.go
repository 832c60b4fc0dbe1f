package apns

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/reducetest"
)

// topicOf has the topic of each push type.
func topicOf(pushType string) string {
	for ending, name := range endings {
		if name == pushType {
			return bundle + ending
		}
	}
	if pushType == "mdm" {
		return managed
	}
	return bundle
}

// newTyped returns a provider with a topic, and with a push_type only if the topic does not imply it.
func newTyped(t *testing.T, pushType string) *bench {
	t.Helper()
	return newBench(t, func(o *apnstest.Options, p *Provider) {
		o.Keys[0].Topics = append(o.Keys[0].Topics, managed)
		p.Topic = topicOf(pushType)
		if pushType == "background" {
			p.PushType = pushType
		}
	})
}

var pushTypes = []string{
	"alert", "background", "voip", "complication", "fileprovider", "location", "liveactivity", "pushtotalk", "widgets", "controls", "mdm",
}

// Whatever the homeserver sends, Apple gets a push that it accepts for the topic, or none: the fake decides by Apple's table.
func TestEachPushTypeIsSentAsAppleTakesIt(t *testing.T) {
	t.Parallel()
	notifications := map[string]*providers.Notification{
		"ids": notice().Reduced(), "a message": notice(), "a call": notice(call("audio")), "ids without counts": notice().Reduced().WithoutCounts(),
		"a membership": notice(member("leave", true)), "a badge": count(4, 1), "a badge of zero": messagetest.Badge(),
		"large": notice(content(`{"msgtype":"m.text","body":"` + strings.Repeat("long ", 2000) + `"}`)),
	}
	data := []string{``, elementX, contentAvailable, stringAlert, `{"default_payload":{"mdm":"magic","aps":{"event":"end","content-state":[]}}}`}
	for _, pushType := range pushTypes {
		t.Run(pushType, func(t *testing.T) {
			t.Parallel()
			b := newTyped(t, pushType)
			for name, n := range notifications {
				for _, d := range data {
					for _, prio := range []providers.Priority{providers.PrioHigh, providers.PrioLow} {
						push, c := alert(), *n
						c.Prio = prio
						push.Notification, push.Device.Data = &c, json.RawMessage(d)
						o := b.Push(t.Context(), push)
						if o.Kind != providers.KindDelivered && o.Reason != "not_for_push_type" {
							t.Errorf("%s with %s: %s (%s, %v)", name, d, o.Kind, o.Reason, o.Err)
						}
					}
				}
			}
			for _, v := range b.Violations() {
				t.Error(v)
			}
			for _, got := range b.Pushes() {
				wantTyped(t, got, pushType)
			}
		})
	}
}

// wantTyped checks the headers that vendors' pages document for a push type.
func wantTyped(t *testing.T, got apnstest.Push, pushType string) {
	t.Helper()
	actual := pushType
	if pushType == "alert" && got.PushType == "background" {
		actual = "background" // there was nothing to show
	}
	if got.PushType != actual || got.Topic != topicOf(pushType) {
		t.Errorf("a push for %s is of type %s", got.Topic, got.PushType)
	}
	if fixed := map[string]int{"background": 5, "pushtotalk": 10}[actual]; fixed != 0 && got.Priority != fixed {
		t.Errorf("the priority of %s is %d", actual, got.Priority)
	}
	if (got.Expiration == 0) != (actual == "pushtotalk") {
		t.Errorf("the expiration of %s is %d", actual, got.Expiration)
	}
}

// iOS terminates an app that gets a VoIP push and reports no call, so a badge update must not be one, nor of another type where it does
// harm. https://developer.apple.com/documentation/pushkit/responding-to-voip-notifications-from-pushkit
func TestAPushThatOnlyTellsCountsIsSentWhereItDoesNoHarm(t *testing.T) {
	t.Parallel()
	sent := map[string]string{ // by push type; "" is dropped
		"alert": `{"aps":{"badge":5}}`, "complication": `{"aps":{"badge":5}}`,
		"background": `{"aps":{"content-available":1},"missed_calls":1,"unread_count":4}`,
		"widgets":    `{"aps":{"content-changed":true}}`, "controls": `{"aps":{"content-changed":true}}`,
		"voip": "", "fileprovider": "", "location": "", "liveactivity": "", "pushtotalk": "", "mdm": "",
	}
	for _, pushType := range pushTypes {
		t.Run(pushType, func(t *testing.T) {
			t.Parallel()
			b := newTyped(t, pushType)
			want, push := sent[pushType], alert()
			push.Notification = count(4, 1)
			if want == "" {
				b.want(t, push, providers.KindDropped, "not_for_push_type")
				push.Notification = notice(member("leave", true))
				b.want(t, push, providers.KindDropped, "not_for_push_type")
				if b.Connections() != 0 {
					t.Error("APNs was asked")
				}
				return
			}
			b.want(t, push, providers.KindDelivered, "delivered")
			if got := b.last(t); string(got.Payload) != want {
				t.Errorf("got %s, want %s", got.Payload, want)
			}
		})
	}
}

func TestWhatATypedPushSays(t *testing.T) {
	t.Parallel()
	const ids = `"event_id":"$event","missed_calls":1,"room_id":"!room:example.org","unread_count":2`
	tests := []struct {
		name, pushType string
		n              *providers.Notification
		data, want     string
	}{
		{"a wake-up for calls", "voip", notice().Reduced(), ``, `{"aps":{"content-available":1},` + ids + `}`},
		{"what the app registered stays", "voip", notice().Reduced(), `{"default_payload":{"aps":{"mutable-content":1}}}`, `{"aps":{"mutable-content":1},` + ids + `}`},
		{"a background push has no text of an event", "background", notice(), elementX, `{"aps":{"content-available":1},` + ids + `,"pusher_notification_client_identifier":"3WvZ"}`},
		{"a managed device", "mdm", notice().Reduced(), `{"default_payload":{"mdm":"magic"}}`, `{"event_id":"$event","mdm":"magic","missed_calls":1,"room_id":"!room:example.org","unread_count":2}`},
		{"a managed device whose aps is empty", "mdm", notice(encrypted).Reduced(), `{"default_payload":{"mdm":"magic","aps":{}}}`, `{"ciphertext":"c","ephemeral":"e",` + ids + `,"mac":"m","mdm":"magic"}`},
		{"widgets", "widgets", notice(), elementX, `{"aps":{"content-changed":true}}`},
		{"controls", "controls", notice().Reduced(), elementX, `{"aps":{"content-changed":true}}`},
		{
			"a Live Activity", "liveactivity", notice(), `{"default_payload":{"aps":{"event":"end","timestamp":1,"content-state":{"a":1}}}}`,
			`{"aps":{"content-state":{"a":1},"event":"end","timestamp":1700000000},` + ids + `}`,
		},
		{
			"a Live Activity of which the app says nothing", "liveactivity", notice().Reduced(), ``,
			`{"aps":{"content-state":{},"event":"update","timestamp":1700000000},` + ids + `}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := build(test.n, deviceWith(test.data), options{pushType: test.pushType, now: time.Unix(1_700_000_000, 0)}, 4096)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := decode(t, m.payload), decode(t, []byte(test.want)); !sameJSON(got, want) {
				t.Errorf("got %s, want %s", m.payload, test.want)
			}
		})
	}
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func TestACheckIsOfTheTopicsTypeAndPasses(t *testing.T) {
	t.Parallel()
	for _, pushType := range pushTypes {
		t.Run(pushType, func(t *testing.T) {
			t.Parallel()
			b := newTyped(t, pushType)
			b.finds(t.Context(), t)
			b.deliveredNothing(t)
			requests := b.Requests()
			if len(requests) != 1 {
				t.Fatalf("there were %d requests", len(requests))
			}
			want := pushType
			if want == "alert" {
				want = "background"
			}
			if r := requests[0]; r.Token != nobody || r.Topic != topicOf(pushType) || r.PushType != want || r.Expiration != 0 {
				t.Errorf("the request is %+v", r)
			}
		})
	}
}

func TestWhatIsReducedMakesTheSamePayloadsForEachPushType(t *testing.T) {
	t.Parallel()
	for _, pushType := range []string{"background", "liveactivity"} { // which use less of a notification
		o := options{pushType: pushType, now: time.Unix(1_700_000_000, 0)}
		reducetest.Run(t, func(n *providers.Notification) *providers.Notification { return reduce(n, 4096) },
			func(n *providers.Notification, d *providers.Device) string {
				m, err := build(n, d, o, 4096)
				if err != nil {
					return err.Error()
				}
				return string(m.payload)
			})
	}
}
