package payload

import (
	"errors"
	"testing"
)

func TestMarshalKeepsWhatHTMLWouldEscape(t *testing.T) {
	t.Parallel()
	if got := string(Marshal(map[string]string{"a": "<&>"})); got != `{"a":"<&>"}` {
		t.Errorf("got %s", got)
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, data string
		members    int
		err        error
	}{
		{"no data", ``, 0, nil},
		{"none", `{"format": "event_id_only"}`, 0, nil},
		{"a mention of it", `{"brand": "default_payload"}`, 0, nil},
		{"an object", `{"default_payload": {"aps": {}, "cs": "s"}}`, 2, nil},
		{"an empty object", `{"default_payload": {}}`, 0, nil},
		{"null", `{"default_payload": null}`, 0, ErrBadDefault},
		{"a string", `{"default_payload": "x"}`, 0, ErrBadDefault},
		{"a list", `{"default_payload": [{}]}`, 0, ErrBadDefault},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			members, err := Default([]byte(test.data))
			if len(members) != test.members || !errors.Is(err, test.err) {
				t.Errorf("got %v, %v", members, err)
			}
		})
	}
}
