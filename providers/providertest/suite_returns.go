package providertest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// testReturns makes pushes with as few members as possible. A panic or a push that never returns fails it. The suite then stops, since
// all other tests would fail for the same reason.
func (s Suite) testReturns(t *testing.T) {
	for _, answer := range []Answer{s.taken(), {Status: http.StatusServiceUnavailable}} {
		b := s.start(t, answers(answer.Status, answer.Header, answer.Body))
		for _, n := range bareNotifications() {
			push := copyOf(b.push)
			push.Notification = n
			o, ok := b.call(t.Context(), t, push, patience)
			switch {
			case !ok:
				return
			case o.Kind == providers.KindRejected || o.Kind == providers.KindSuspected:
				t.Errorf("the device is good, but a notification that lacks members makes it %s (%s)", o.Kind, o.Reason)
			}
		}
	}
	b := s.start(t, answers(http.StatusServiceUnavailable, nil, ""))
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // none of these may be sent anywhere
	for _, d := range strangeDevices(b.push.Device) {
		push := copyOf(b.push)
		push.Device = &d
		if _, ok := b.call(ctx, t, push, patience); !ok {
			t.Logf("the pushkey is %.80q, the data are %.80q", d.Pushkey, d.Data)
			return
		}
	}
}

// bareNotifications returns notifications that lack members: each field may be empty or nil.
func bareNotifications() []*providers.Notification {
	one := int64(1)
	return []*providers.Notification{
		{},
		{Badge: true},
		{Wake: true},
		{Wake: true, Prio: providers.PrioLow},
		{Badge: true, Counts: providers.Counts{MissedCalls: &one}},
		{Counts: providers.Counts{Unread: &one}},
		{EventID: "$event"},
		{RoomID: "!room:example.org"},
		{Type: "m.room.message"},
		{Type: "m.room.message", Content: json.RawMessage(`{}`)},
		{Type: "m.room.message", Content: json.RawMessage(`{"msgtype":null,"body":1,"info":[]}`)},
		{Type: "m.room.member", Membership: "invite", UserIsTarget: true},
		{Type: "m.call.invite", Content: json.RawMessage(`{"offer":null}`)},
		{EventID: "$event", Encrypted: providers.Encrypted{Ciphertext: "ciphertext"}},
		{EventID: "$event", Body: json.RawMessage(`{"notification":{}}`)},
		{EventID: "$event", Body: json.RawMessage(`{"notification":null}`)},
		{EventID: "$event", RoomID: "!room:example.org", Type: "m.room.message", RoomName: strings.Repeat("long ", 20_000)},
	}
}

// taken returns an answer with which the push service accepts a push.
func (s *Suite) taken() Answer {
	for _, v := range s.Verdicts {
		if v.Kind == providers.KindDelivered {
			return Answer{Status: v.Status, Header: v.Header, Body: v.Body}
		}
	}
	return Answer{Status: http.StatusOK}
}
