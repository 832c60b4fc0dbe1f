package jsonwrite_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/jsonwrite"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

func TestAnObjectHasItsMembersInTheirOrder(t *testing.T) {
	t.Parallel()
	w := jsonwrite.New(0)
	w.Open()
	w.Text("type", "m.room.message")
	w.Text("sender", "")
	w.Name("counts")
	w.Open()
	w.Number("unread", new(int64(math.MinInt64)))
	w.Number("missed_calls", nil)
	w.Close()
	w.Bool("target", true)
	w.Bool("other", false)
	w.Object("content", []lenient.Member{{Name: "b", Value: json.RawMessage(` [ 1 , "a b" ]`)}, {Name: "a", Value: json.RawMessage(`{ }`)}})
	w.Object("nothing", nil)
	w.Close()
	const want = `{"type":"m.room.message","counts":{"unread":-9223372036854775808},"target":true,"content":{"b":[1,"a b"],"a":{}}}`
	if got := string(w.Bytes()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzAnObjectIsWrittenAsAMap compares with clientjson.Marshal, for texts and JSON of any kind.
func FuzzAnObjectIsWrittenAsAMap(f *testing.F) {
	for _, seed := range []string{
		"", "a b", `"`, `\`, "\n\t\x00\x7f", "é€😀", "\u2028\u2029", "\ufffd", "\xff", "<&>", "\xed\xa0\x80",
	} {
		f.Add(seed, `{"a" : [ 1, -0.0e+1 , true,null ] , "b c":"\" \\","\ud800":"\u2028"}`)
	}
	for _, seed := range []string{`" a \\\" b \\"`, "[\r\n\t ]", ` 1 `, `{"a":1,"a": 2}`, `"<&>\u003c"`, "\"\xff\"", `1e999`, `[[[ ]]]`} {
		f.Add("text", seed)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		var v json.RawMessage
		if lenient.Unmarshal([]byte(value), &v) != nil {
			t.Skip() // never a value
		}
		w := jsonwrite.New(16)
		w.Merge(jsonwrite.Sorted(map[string]json.RawMessage{"": v, "a": v, "b": nil, "b" + text: v, "z" + text: v}))
		w.Open()
		w.Number("a", new(int64(len(text))))
		w.Object("b", lenient.Object([]byte(value)))
		w.Text("c"+text, text)
		w.Close()
		same := map[string]any{"": v, "a": len(text), "b": nil, "b" + text: v, "z" + text: v}
		if members := lenient.Object([]byte(value)); len(members) > 0 {
			same["b"] = mapOf(members)
		}
		if text != "" {
			same["c"+text] = text
		}
		if got, want := string(w.Bytes()), string(clientjson.Marshal(same)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func mapOf(members []lenient.Member) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage)
	for _, member := range members {
		m[member.Name] = member.Value
	}
	return m
}
