package lenient_test

import (
	"encoding/json"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

func TestWhatHomeserversAndClientsSendIsRead(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, data, want string }{
		{"a member", `{"auth": "a"}`, "a"},
		{"a member beside one in other capitals", `{"auth": "a", "AUTH": "b", "Auth": 1}`, "a"},
		{"only one in other capitals", `{"AUTH": "b"}`, ""},
		{"the last of two", `{"auth": "a", "auth": "b"}`, "b"},
		{"an unknown member", `{"auth": "a", "unknown": [{"auth": "b"}]}`, "a"},
		{"null", `{"auth": null}`, ""},
		{"a null behind it", `{"auth": "a", "auth": null}`, ""},
		{"null instead of an object", `null`, ""},
		{"an escaped name", `{"\u0061uth": "a"}`, "a"},
		{"half of a surrogate pair", `{"auth": "\ud800"}`, "\uFFFD"},
		{"a number that no float64 can be, elsewhere", `{"unknown": 1e999, "auth": "a"}`, "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got struct {
				Auth string `json:"auth"`
			}
			if err := lenient.Unmarshal([]byte(test.data), &got); err != nil || got.Auth != test.want {
				t.Errorf("got %q (%v), want %q", got.Auth, err, test.want)
			}
		})
	}
}

func TestAnotherTypeIsAnError(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{"auth": 1}`, `[]`, `"x"`, `{"auth": "a"`, `{"auth": "a"} {}`, ``} {
		var got struct {
			Auth string `json:"auth"`
		}
		if err := lenient.Unmarshal([]byte(data), &got); err == nil {
			t.Errorf("%s is %+v", data, got)
		}
	}
}

func TestAMemberIsNeverMissed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		data string
		want bool
	}{
		{`{"auth": 1}`, true},
		{`{"keys": {"auth": 1}}`, true},
		{`{"\u0061uth": 1}`, true},
		{`{"text": "\n"}`, true}, // to be on the safe side
		{`{"author": 1}`, false},
		{`{"url": "auth"}`, true}, // to be on the safe side
		{`{}`, false},
		{``, false},
	}
	for _, test := range tests {
		if got := lenient.MayHave([]byte(test.data), `"auth"`, `"p256dh"`); got != test.want {
			t.Errorf("%s: got %t", test.data, got)
		}
	}
}

// FuzzMayHave wants members to be missing if MayHave reports false.
func FuzzMayHave(f *testing.F) {
	for _, seed := range []string{
		`{"auth": 1}`, `{"\u0061uth": 1}`, `{"AUTH": 1}`, `{"a": {"auth": 1}}`, `{"aut\u0068": null, "b": 1}`, `{"author": ""}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var members map[string]json.RawMessage
		if lenient.Unmarshal([]byte(data), &members) != nil {
			return
		}
		if _, found := members["auth"]; found && !lenient.MayHave([]byte(data), `"auth"`) {
			t.Errorf("there is one in %s", data)
		}
	})
}
