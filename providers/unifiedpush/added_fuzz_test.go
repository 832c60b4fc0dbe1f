package unifiedpush

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// FuzzAnAddedMember adds a member with a similar but wrong name to what a client or a homeserver sent. This must not change the provider's
// decision or its message, except that the member may be passed on.
func FuzzAnAddedMember(f *testing.F) {
	names := []string{
		"p256dh", "auth", "keys", "notification", "content", "room_name", "room_alias", "sender_display_name", "counts", "event_id",
	}
	for i := range names {
		for _, letters := range []uint32{0, 1, 2, 6, 0xffffffff} {
			f.Add(uint8(i), letters, `1`, false)
			f.Add(uint8(i), letters, `{"p256dh": "x", "event_id": "$other"}`, true)
		}
	}
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).SubscribeDemo("fuzz")
	registered := []string{
		`{"format": "event_id_only", "default_payload": {"cs": "s"}}`,
		fmt.Sprintf(`{"format": "event_id_only", "p256dh": %q, "auth": %q}`, sub.P256dh, sub.Auth),
		fmt.Sprintf(`{"client_name": "c", "keys": {"p256dh": %q, "auth": %q}}`, sub.P256dh, sub.Auth),
	}
	body := string(alert().Body)
	f.Fuzz(func(t *testing.T, number uint8, letters uint32, value string, first bool) {
		added, ok := messagetest.NewAdded(names, number, letters, value, first)
		if !ok {
			t.Skip()
		}
		for _, data := range registered {
			want := decisionOn(t, sub, data, body)
			added.WantSame(t, decisionOn(t, sub, added.To(data), body), want)
			added.WantSame(t, decisionOn(t, sub, added.To(data, "keys"), body), want)
			added.WantSame(t, decisionOn(t, sub, data, added.To(body)), want)
			added.WantSame(t, decisionOn(t, sub, data, added.To(body, "notification")), want)
		}
	})
}

// decisionOn returns what the provider does with a device and a notification, as JSON: the target, whether it encrypts, and the messages.
func decisionOn(t *testing.T, sub providertest.Subscription, data, body string) []byte {
	t.Helper()
	p, d := new(Provider), &providers.Device{Pushkey: "https://push.example/a", Data: json.RawMessage(data)}
	if err := p.Usable(d, providers.Site{}); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	to, err := read(d)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, keys := to.Endpoint, to.Keys
	if wanted, err := ece.ParseKeys(sub.P256dh, sub.Auth); err != nil || keys != nil && !reflect.DeepEqual(*keys, wanted) {
		t.Errorf("the keys are others (%v)", err)
	}
	n := alert()
	n.Body = json.RawMessage(body)
	all := slices.Collect(bodies(n, n.Members(), d, keys != nil)) // there may be one more with a member that can be left out
	forms := []json.RawMessage{all[0], all[len(all)-1]}
	return clientjson.Marshal(map[string]any{
		"host": p.Host(d), "endpoint": endpoint.String(), "encrypted": keys != nil, "content": p.DefaultContent(d), "forms": forms,
	})
}
