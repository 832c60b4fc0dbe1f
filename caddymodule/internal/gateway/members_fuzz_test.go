package gateway

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// FuzzMembers compares the gateway's decoder with a notification's own, which a third party's test uses: its provider must get the same
// from both.
func FuzzMembers(f *testing.F) {
	for _, request := range corpus.Requests() {
		f.Add(request.Body)
	}
	for _, seed := range []string{
		`{"notification":{"event_id":"$e","EVENT_ID":1,"devices":[{}],"Devices":[],"device\u017f":7,"counts":{"unread":1},"COUNTS":null}}`,
		`{"notification":{"a":1,"a":null,"b":{"c":1}},"Notification":{"d":1},"notification":{"b": [ 2 ]},"notification":null}`,
		`{"notification":{"a":1},"Notification":{"b":1}}`, `{"notification":{"a":1,"devices":[]},"notification":{"b":2}}`,
		`{"notification":null,"notification":{"devices":[]}}`,
		`{"\u006eotification":{"\ud800":"\udfff","\ud83d\ude80":"<&>\u2028","":1e999},"\udfff":-0.0E+1}`,
		`{"x":[{"notification":{"a":1}}],"notification":{}}`,
		"\t{ \"notification\" :\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } } ",
		`{"notification":{"a":1},}`, `{"notification":{"a":1}`, `{"notification":{"a":1}}{}`, `{"notification":{"a":1}]`,
		`{"notification":{"a":1}} x`, `{"notification" {"a":1}}`, `{"notification":{"a":1} "b":1}`, `{,"notification":{"a":1}}`,
		`{"notification":[]}`, `{"notification":"a"}`, `{"notification":{"a":01}}`, `{"notification":{"a":"\x"}}`, `{notification:{}}`,
		`{1:1}`, `{}`, `[]`, `null`, `nul`, `1`, `"a"`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) || tooDeep(body) {
			t.Skip() // such a body has no notification
		}
		counted := &providers.Notification{Body: body, Counts: providers.Counts{Unread: new(int64)}}
		want := withoutNamed(lenient.Members(body), "devices")
		if got := counted.Members(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %s, want %s", body, got, want)
		}
		if got, want := counted.WithoutCounts().Members(), withoutNamed(want, "counts"); !reflect.DeepEqual(got, want) {
			t.Errorf("without counts, %s has %s, want %s", body, got, want)
		}
		r, e := Decode(body, 100)
		if e == nil && (!reflect.DeepEqual(r.Notification.WithoutCounts().Members(), counted.WithoutCounts().Members()) || want == nil) {
			t.Errorf("%s is decoded to %s", body, r.Notification.WithoutCounts().Members())
		}
	})
}

// withoutNamed returns the members without those that a client may mistake for the one named.
func withoutNamed(members map[string]json.RawMessage, unwanted string) map[string]json.RawMessage {
	if members == nil {
		return nil
	}
	left := make(map[string]json.RawMessage)
	for name, value := range members {
		if !strings.EqualFold(name, unwanted) {
			left[name] = value
		}
	}
	return left
}
