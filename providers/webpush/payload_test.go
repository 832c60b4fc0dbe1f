package webpush

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// formsOf returns all forms of a notification.
func formsOf(n *providers.Notification, defaults []lenient.Member) [][]byte {
	return slices.Collect(bodies(n, defaults, whole(n, defaults)))
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	member := alert()
	member.Type, member.Membership, member.UserIsTarget = "m.room.member", "invite", true
	tests := []struct {
		name     string
		n        *providers.Notification
		defaults string
	}{
		{"full", alert(), `null`},
		{"membership", member, `null`},
		{"reduced", alert().Reduced(), `null`},
		{"badge_zero", badge(), `null`},
		{"full_without_counts", alert().WithoutCounts(), `null`},
		{"default_payload", alert(), `{"room_id": "!other", "event_id": "$other", "unread": 99, "session": "s", "nested": {"a": [1]}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			golden(t, test.name, formsOf(test.n, defaultsIn(json.RawMessage(test.defaults)))[0])
		})
	}
}

func TestEachFormKeepsTheIDsAndIsNotLargerThanTheOneBefore(t *testing.T) {
	t.Parallel()
	all := formsOf(alert(), defaultsIn(json.RawMessage(`{"session": "s", "event_id": "$other"}`)))
	for i, b := range all {
		if i > 0 && len(b) >= len(all[i-1]) {
			t.Errorf("form %d is not smaller than the one before", i)
		}
		if !strings.Contains(string(b), `"event_id":"$event","`) || !strings.Contains(string(b), `"room_id":"!room:example.org"`) {
			t.Errorf("form %d lacks an id: %s", i, b)
		}
	}
}

// No form is repeated: after a 413, the last one is sent.
func TestALargeMessageBecomesSmallerWithEachForm(t *testing.T) {
	t.Parallel()
	defaults := defaultsIn(json.RawMessage(`{"session_id": "` + strings.Repeat("s", 1000) + `"}`))
	for _, content := range []string{
		fmt.Sprintf(`{"msgtype": "m.text", "body": %q, "x": %q}`, strings.Repeat("😀", 2000), strings.Repeat("x", 500)),
		fmt.Sprintf(`{"msgtype": "m.text", "body": "b", "x": %q}`, strings.Repeat("x", 5000)), `{"body": "b"}`, `{}`, ``,
	} {
		for _, room := range []string{"Ops", strings.Repeat("r", 3000), strings.Repeat("r", 5000)} {
			n := alert()
			n.Content, n.RoomName = json.RawMessage(content), room
			all := formsOf(n, defaults)
			for i, form := range all {
				if i > 0 && len(form) >= len(all[i-1]) {
					t.Errorf("form %d of %.20s is not smaller than the one before", i, content)
				}
			}
			if got, want := string(all[len(all)-1]), string(formsOf(n.Reduced(), nil)[0]); got != want {
				t.Errorf("the last form is %s, want %s", got, want)
			}
		}
	}
}

func TestALongBodyIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, character := range []string{"x", "é", "€", "😀"} {
		for length, cut := range map[int]bool{1000: false, 1001: true, 60_000: true} {
			content := fmt.Appendf(nil, `{"body": %q, "ciphertext": %q}`, strings.Repeat(character, length), strings.Repeat("c", 2001))
			got := trim(content)
			var body string
			if err := json.Unmarshal(got["body"], &body); err != nil {
				t.Fatal(err)
			}
			if n := utf8.RuneCountInString(body); n != 1000 || strings.HasSuffix(body, "…") != cut || strings.ContainsRune(body, utf8.RuneError) {
				t.Errorf("%d of %s: %d characters, ending with %q", length, character, n, body[len(body)-4:])
			}
			if got["ciphertext"] != nil {
				t.Error("a ciphertext that does not fit is there")
			}
		}
	}
}
