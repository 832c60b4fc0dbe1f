package apns

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/jsonwrite"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// FuzzObject wants an object as encoding/json writes it, and the values as the client wrote them, without white space.
func FuzzObject(f *testing.F) {
	for _, request := range corpus.Requests() {
		f.Add(string(request.Device().Data), "pushkey")
	}
	for _, seed := range []string{
		elementX, objectAlert, `[]`,
		` { "b" : [ 1.0 , "a \" \\" , "\\\" " ] , "a" : { } , "c": 1, "c" : -0 } `,
		`{"\u2028\n<": "\u2029 <&>", "": "` + "\u2028" + `"}`,
	} {
		f.Add(seed, "a\u2028\"\\\b\f\n\x00\x1f\x7f</>\u2029😀")
	}
	f.Fuzz(func(t *testing.T, data, text string) {
		members, ok := clientjson.Members(json.RawMessage(data))
		if !ok || !utf8.ValidString(text) {
			t.Skip()
		}
		o := readObject(json.RawMessage(data))
		if got, want := o.marshal(), clientjson.Marshal(members); string(got) != string(want) {
			t.Fatalf("%q becomes\n%q, want\n%q", data, got, want)
		}
		o.setString(text, text)
		o.setNumber("n", -7)
		o.set("list", appendStrings(nil, []string{text, ""}))
		o.remove("m", "a")
		members[text], members["n"], members["list"] = clientjson.Marshal(text), []byte("-7"), clientjson.Marshal([]string{text, ""})
		delete(members, "m")
		delete(members, "a")
		if got, want := o.marshal(), clientjson.Marshal(members); string(got) != string(want) {
			t.Fatalf("%q and %q become\n%q, want\n%q", data, text, got, want)
		}
		for name, value := range members {
			if got := o.get(name); string(got) != string(jsonwrite.AppendCompact(nil, value)) {
				t.Errorf("%q is %s, want %s", name, got, value)
			}
		}
	})
}
