package fcm

import (
	"encoding/json"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// FuzzAnAddedMember adds a member with a similar but wrong name to what a client or a homeserver sent. This must not change the provider's
// decision or its message, except that the member may be passed on.
func FuzzAnAddedMember(f *testing.F) {
	names := []string{
		"default_payload", "data_message", "client_name", "sound", "body", "msgtype", "cs", "event_id", "room_id", "prio", "unread", "counts",
	}
	for i := range names {
		for _, letters := range []uint32{0, 1, 2, 6, 0xffffffff} {
			f.Add(uint8(i), letters, `1`, false)
			f.Add(uint8(i), letters, `{"cs": "x"}`, true)
			f.Add(uint8(i), letters, `"android"`, true)
		}
	}
	const content, tweaks = `{"msgtype": "m.text", "body": "b"}`, `{"sound": "default"}`
	f.Fuzz(func(t *testing.T, number uint8, letters uint32, value string, first bool) {
		added, ok := messagetest.NewAdded(names, number, letters, value, first)
		if !ok {
			t.Skip()
		}
		for _, data := range []string{elementXData, fluffyData, fluffyDefault, `{"format": "event_id_only"}`} {
			want := messageOf(t, content, data, tweaks)
			added.WantSame(t, messageOf(t, content, added.To(data), tweaks), want)
			added.WantSame(t, messageOf(t, content, added.To(data, "default_payload"), tweaks), want)
			added.WantSame(t, messageOf(t, added.To(content), data, tweaks), want)
			added.WantSame(t, messageOf(t, content, data, added.To(tweaks)), want)
		}
	})
}

// messageOf returns the data of a message, as JSON.
func messageOf(t *testing.T, content, pusher, tweaks string) []byte {
	t.Helper()
	n := messagetest.Alert()
	n.Content = json.RawMessage(content)
	d := &providers.Device{AppID: "org.example", Pushkey: pushkey, Data: json.RawMessage(pusher), Tweaks: json.RawMessage(tweaks)}
	if err := new(Provider).Usable(d, providers.Site{}); err != nil {
		t.Fatal(err)
	}
	members, err := data(n, d, 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	return clientjson.Marshal(members)
}
