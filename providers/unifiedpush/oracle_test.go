package unifiedpush

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// ids are the members of a reduced notification as encoding/json writes them.
type ids struct {
	EventID    string  `json:"event_id,omitempty"`
	RoomID     string  `json:"room_id,omitempty"`
	Prio       string  `json:"prio"`
	Counts     *counts `json:"counts,omitempty"`
	Ciphertext string  `json:"ciphertext,omitempty"`
	Ephemeral  string  `json:"ephemeral,omitempty"`
	MAC        string  `json:"mac,omitempty"`
}

type counts struct {
	Unread      *int64 `json:"unread,omitempty"`
	MissedCalls *int64 `json:"missed_calls,omitempty"`
}

// FuzzAMessageIsWrittenByEncodingJSON compares the first and the last form of a message with what encoding/json writes.
func FuzzAMessageIsWrittenByEncodingJSON(f *testing.F) {
	for _, text := range []string{"", "$event", "a <b> & \"c\" \\", "\u2028\u2029\ufffd\xff\x00\t"} {
		f.Add(text, "!room:example.org", text, int64(3), `{"type" : "m.room.message", "content": {"body" : "a  b", "x": [ 1,2 ]}, "Body":1e999}`)
		f.Add("$event", text, "", int64(0), ` { "b" : null , "a" : { } , "b" : "\ud800" } `)
		f.Add(text, text, text, int64(-1), ``)
	}
	f.Fuzz(func(t *testing.T, event, room, encrypted string, unread int64, members string) {
		n := &providers.Notification{EventID: event, RoomID: room}
		n.Encrypted = providers.Encrypted{Ciphertext: encrypted, Ephemeral: event, MAC: room}
		if unread != 0 {
			n.Counts = providers.Counts{Unread: new(unread), MissedCalls: new(int64(3))}
			n.Prio = providers.PrioLow
		}
		want := ids{n.EventID, n.RoomID, n.Prio.String(), nil, n.Encrypted.Ciphertext, n.Encrypted.Ephemeral, n.Encrypted.MAC}
		if unread != 0 {
			want.Counts = &counts{n.Counts.Unread, n.Counts.MissedCalls}
		}
		forms := slices.Collect(bodies(n, n.Members(), new(providers.Device), false))
		wantForm(t, forms[0], want)
		want.Ciphertext, want.Ephemeral, want.MAC = "", "", ""
		wantForm(t, forms[len(forms)-1], want)

		var own map[string]json.RawMessage
		if lenient.Unmarshal([]byte(members), &own) != nil || own == nil || unread == 0 {
			return
		}
		n.Body = clientjson.Marshal(map[string]any{"notification": own})
		n.DecodeBy(lenient.Members)
		wantForm(t, slices.Collect(bodies(n, n.Members(), new(providers.Device), false))[0], n.Members())
	})
}

func wantForm(t *testing.T, form []byte, notification any) {
	t.Helper()
	if want := string(clientjson.Marshal(map[string]any{"notification": notification})); string(form) != want {
		t.Errorf("the message is %s, want %s", form, want)
	}
}

func TestTheFirstFormIsTheFirstOfAll(t *testing.T) {
	t.Parallel()
	p := new(Provider)
	for _, n := range []*providers.Notification{
		alert().Reduced(), received(alert()), p.Reduce(received(alert())), badge(), p.Reduce(long(3_900)), long(5_000), p.Reduce(long(5_000)),
	} {
		for _, d := range []providers.Device{elementX, fluffyChat("a"), sable("@a:x"), {}, {Data: json.RawMessage(`{"x": 1}`)}} {
			for _, encrypted := range []bool{false, true} {
				want := slices.Collect(bodies(n, n.Members(), &d, encrypted))[0]
				if got := first(n, n.Members(), &d, encrypted); string(got) != string(want) && !isPart(n.Prepared) {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		}
	}
}
