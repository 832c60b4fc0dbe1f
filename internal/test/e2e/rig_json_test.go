package e2e

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// wantJSON wants exactly this JSON, in any formatting.
func wantJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	if !reflect.DeepEqual(decode(t, got), decode(t, []byte(want))) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// decode reads JSON, and keeps the numbers as they are written.
func decode(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// member returns the value at a path of names in JSON, or nil if there is none.
func member(t *testing.T, text []byte, names ...string) any {
	t.Helper()
	v := decode(t, text)
	for _, name := range names {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// sorted returns JSON in one line, with sorted members and with its numbers as they are written.
func sorted(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(decode(t, text)); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
