package gateway

import "testing"

// Guards against an invitation that iPhones show nothing of. Homeservers that follow the specification (continuwuity, tuwunel) send the
// membership only in the content.
func TestAMembershipIsTheOneInTheContentIfThereIsNoOther(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, members, want string }{
		{"in the content", `"type":"m.room.member","content":{"membership":"invite"}`, "invite"},
		{"beside the content", `"type":"m.room.member","membership":"join","content":{"membership":"invite"}`, "join"},
		{"in neither", `"type":"m.room.member","content":{"reason":"none"}`, ""},
		{"without content", `"type":"m.room.member"`, ""},
		{"of no text", `"type":"m.room.member","content":{"membership":["invite"]}`, ""},
		{"of another event", `"type":"m.room.message","content":{"membership":"invite"}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, e := Decode([]byte(`{"notification":{"event_id":"$1",`+test.members+`,"devices":[{"app_id":"a","pushkey":"k"}]}}`), 1)
			if e != nil {
				t.Fatal(e)
			}
			if got := r.Notification.Membership; got != test.want {
				t.Errorf("it is %q, want %q", got, test.want)
			}
		})
	}
}
