package apns

import (
	"encoding/json"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// FuzzAnAddedMember adds a member with a similar but wrong name to what a client or a homeserver sent. This must not change the provider's
// decision or its message, except that the member may be passed on.
func FuzzAnAddedMember(f *testing.F) {
	names := []string{
		"default_payload", "aps", "alert", "body", "msgtype", "offer", "sdp", "loc-args", "loc-key", "badge", "room_id", "event_id",
	}
	for i := range names {
		for _, letters := range []uint32{0, 1, 2, 6, 0xffffffff} {
			f.Add(uint8(i), letters, `1`, false)
			f.Add(uint8(i), letters, `{"aps": {"alert": "x"}, "sdp": "m=video"}`, true)
		}
	}
	contents := map[string]string{
		"m.room.message": `{"msgtype": "m.text", "body": "b"}`, "m.call.invite": `{"offer": {"sdp": "m=audio"}}`, "": `{"body": "b"}`,
	}
	f.Fuzz(func(t *testing.T, number uint8, letters uint32, value string, first bool) {
		added, ok := messagetest.NewAdded(names, number, letters, value, first)
		if !ok {
			t.Skip()
		}
		for kind, content := range contents {
			for _, data := range []string{elementX, objectAlert, stringAlert, `{"format": "event_id_only"}`} {
				want := builtOf(t, kind, content, data)
				for _, path := range [][]string{nil, {"default_payload"}, {"default_payload", "aps"}, {"default_payload", "aps", "alert"}} {
					added.WantSame(t, builtOf(t, kind, content, added.To(data, path...)), want)
				}
				added.WantSame(t, builtOf(t, kind, added.To(content), data), want)
				added.WantSame(t, builtOf(t, kind, added.To(content, "offer"), data), want)
			}
		}
	})
}

// builtOf returns the payload of a notification.
func builtOf(t *testing.T, kind, content, data string) []byte {
	t.Helper()
	n := notice()
	n.Type, n.Content = kind, json.RawMessage(content)
	d := deviceWith(data)
	if err := new(Provider).Usable(d, providers.Site{}); err != nil {
		t.Fatal(err)
	}
	m, err := build(n, d, options{}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return m.payload
}
