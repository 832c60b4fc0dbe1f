package webpush

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

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
			var defaults map[string]json.RawMessage
			if err := json.Unmarshal([]byte(test.defaults), &defaults); err != nil {
				t.Fatal(err)
			}
			golden(t, test.name, slices.Collect(bodies(test.n, defaults))[0])
		})
	}
}

func TestEachFormKeepsTheIDsAndIsNotLargerThanTheOneBefore(t *testing.T) {
	t.Parallel()
	all := slices.Collect(bodies(alert(), map[string]json.RawMessage{"session": json.RawMessage(`"s"`), "event_id": json.RawMessage(`"$other"`)}))
	for i, b := range all {
		if i > 0 && len(b) >= len(all[i-1]) {
			t.Errorf("form %d is not smaller than the one before", i)
		}
		if !strings.Contains(string(b), `"event_id":"$event","`) || !strings.Contains(string(b), `"room_id":"!room:example.org"`) {
			t.Errorf("form %d lacks an id: %s", i, b)
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
