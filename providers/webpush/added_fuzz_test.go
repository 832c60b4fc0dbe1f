package webpush

import (
	"encoding/json"
	"fmt"
	"reflect"
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
		"endpoint", "auth", "keys", "p256dh", "events_only", "only_last_per_room", "default_payload", "body", "ciphertext", "formatted_body",
		"content",
	}
	for i := range names {
		for _, letters := range []uint32{0, 1, 2, 6, 0xffffffff} {
			f.Add(uint8(i), letters, `1`, false)
			f.Add(uint8(i), letters, `true`, true)
			f.Add(uint8(i), letters, `"https://other.example/"`, true)
			f.Add(uint8(i), letters, `{"p256dh": "x"}`, false)
		}
	}
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).SubscribeDemo("fuzz")
	data := fmt.Sprintf(`{"endpoint": "https://push.example/a", "auth": %q, "default_payload": {"session": "s"}}`, sub.Auth)
	pushkey := fmt.Sprintf(`{"endpoint": "https://push.example/a", "keys": {"p256dh": %q, "auth": %q}}`, sub.P256dh, sub.Auth)
	const wishes, content = `{"only_last_per_room": true}`, `{"msgtype": "m.text", "body": "b"}`
	f.Fuzz(func(t *testing.T, number uint8, letters uint32, value string, first bool) {
		added, ok := messagetest.NewAdded(names, number, letters, value, first)
		if !ok {
			t.Skip()
		}
		want := decisionOn(t, sub, sub.P256dh, data, content)
		added.WantSame(t, decisionOn(t, sub, sub.P256dh, added.To(data), content), want)
		added.WantSame(t, decisionOn(t, sub, sub.P256dh, added.To(data, "default_payload"), content), want)
		added.WantSame(t, decisionOn(t, sub, sub.P256dh, data, added.To(content)), want)
		want = decisionOn(t, sub, pushkey, wishes, content)
		added.WantSame(t, decisionOn(t, sub, pushkey, added.To(wishes), content), want)
		added.WantSame(t, decisionOn(t, sub, added.To(pushkey), wishes, content), want)
		added.WantSame(t, decisionOn(t, sub, added.To(pushkey, "keys"), wishes, content), want)
	})
}

// decisionOn returns what the provider does with a device and a notification, as JSON: the target, its options, and the messages.
func decisionOn(t *testing.T, sub providertest.Subscription, pushkey, data, content string) []byte {
	t.Helper()
	p, d := new(Provider), &providers.Device{Pushkey: pushkey, Data: json.RawMessage(data)}
	if err := p.Usable(d, providers.Site{}); err != nil {
		t.Fatalf("%v: %s, %s", err, pushkey, data)
	}
	to, err := parsePusher(d)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := ece.ParseKeys(sub.P256dh, sub.Auth); err != nil || !reflect.DeepEqual(to.keys, keys) {
		t.Errorf("the keys are others (%v)", err)
	}
	n := alert()
	n.Content = json.RawMessage(content)
	all := formsOf(n, to.defaults) // there may be one more with a member that can be left out
	forms := []json.RawMessage{all[0], all[len(all)-1]}
	return clientjson.Marshal(map[string]any{
		"host": p.Host(d), "endpoint": to.endpoint.String(), "forms": forms,
		"options": []bool{to.eventsOnly, to.onlyLastPerRoom},
	})
}
