package apns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// The vectors are measured results of Sygnal, and its own tests.
func TestTheLongestTextLosesItsLastCharacterFirst(t *testing.T) {
	t.Parallel()
	const letters = `{"alert": {"loc-key": "K", "loc-args": ["abc", "de", "fgh"]}}` // 62 bytes, and 8 of texts
	tests := []struct {
		name, aps string
		limit     int // the payload's size without its texts, and the room that remains for them
		want      string
	}{
		{"what fits stays", letters, 62 + 8, `["abc","de","fgh"]`},
		{"of equally long ones the first", letters, 62 + 7, `["ab","de","fgh"]`},
		{"the longest", letters, 62 + 6, `["ab","de","fg"]`},
		{"the first of three", letters, 62 + 5, `["a","de","fg"]`},
		{"the second of three", letters, 62 + 4, `["a","d","fg"]`},
		{"until nothing is left", letters, 62, `["","",""]`},
		{"a string alert", `{"alert": "abcdefghij"}`, 22 + 5, `"abcde"`},
		{"the body before the arguments", `{"alert": {"body": "ab", "loc-args": ["cd"]}}`, 50 + 3, `"a"["cd"]`},
		{"two arguments evenly", `{"alert": {"loc-args": ["abcdefghij", "defghijklm"]}}`, 42 + 10, `["abcde","defgh"]`},
		{"whole emoji", `{"alert": "🐰🐱🐲🐳🐰🐱🐲🐳🐰"}`, 22 + 30, `"🐰🐱🐲🐳🐰🐱🐲"`},
		{"an emoji at the front", `{"alert": "🐰abcdefghijklmnopqrstuvwxyz"}`, 22 + 20, `"🐰abcdefghijklmnop"`},
		{"only the strings", `{"alert": {"title": "title", "body": 1, "loc-args": [22222, "abc", null]}}`, 80 + 1, `1[22222,"a",null]`},
		{"no arguments", `{"alert": {"body": "abcdef", "loc-args": "none"}}`, 52 + 3, `"abc""none"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &document{aps: lenient.Object([]byte(test.aps))}
			out, ok := d.fit(test.limit)
			if got := textsIn(t, out); !ok || got != test.want {
				t.Errorf("got %s, want %s: %s", got, test.want, out)
			}
		})
	}
}

// textsIn returns the alert, or its body and loc-args in this order.
func textsIn(t *testing.T, out []byte) string {
	t.Helper()
	var p struct {
		APS struct {
			Alert json.RawMessage `json:"alert"`
		} `json:"aps"`
	}
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	var alert struct {
		Body json.RawMessage `json:"body"`
		Args json.RawMessage `json:"loc-args"`
	}
	if json.Unmarshal(p.APS.Alert, &alert) != nil {
		return string(p.APS.Alert)
	}
	return string(alert.Body) + string(alert.Args)
}

func TestALongMessageIsCutAsSygnalDoes(t *testing.T) {
	t.Parallel()
	n := notice(content(`{"msgtype": "m.text", "body": "`+strings.Repeat("C", 5000)+`"}`), counts(3), func(n *providers.Notification) {
		n.SenderDisplayName, n.RoomName, n.RoomID, n.EventID = strings.Repeat("A", 1024), strings.Repeat("B", 1024), "!r", "$e"
	})
	m, err := build(n, new(providers.Device), options{}, 4096)
	if err != nil {
		t.Fatal(err)
	}
	p := decode(t, m.payload)
	var lengths []int
	for _, arg := range p["aps"].(map[string]any)["alert"].(map[string]any)["loc-args"].([]any) {
		lengths = append(lengths, len(arg.(string)))
	}
	if !slices.Equal(lengths, []int{1024, 1024, 1906}) {
		t.Errorf("the arguments have %d bytes", lengths)
	}
	if got := len(spaced(p)); got != 4096 {
		t.Errorf("Sygnal would count %d bytes", got)
	}
}

func TestWhatCannotBeCutEnoughAsksTheAppToSync(t *testing.T) {
	t.Parallel()
	const want = `{"aps":{"content-available":1},"event_id":"$event","missed_calls":1,"room_id":"!room:example.org","unread_count":2}`
	data := json.RawMessage(`{"default_payload": {"aps": {"alert": {"title": "` + strings.Repeat("t", 5000) + `", "body": "b"}}}}`)
	for _, n := range []*providers.Notification{notice(), notice().Reduced()} {
		m, err := build(n, deviceWith(data), options{threadRoom: true}, 4096)
		if err != nil || string(m.payload) != want || !m.background {
			t.Errorf("got %.200s (%v), background %t", m.payload, err, m.background)
		}
	}
}

func TestACiphertextThatDoesNotFitIsLeftOutAndTheAlertStays(t *testing.T) {
	t.Parallel()
	n := notice(encrypted).Reduced()
	n.Encrypted.Ciphertext = strings.Repeat("c", 4000)
	m, err := build(n, deviceWith(elementX), options{}, 4096)
	if err != nil || m.background {
		t.Fatalf("background %t (%v)", m.background, err)
	}
	without, err := build(notice().Reduced(), deviceWith(elementX), options{}, 4096)
	if err != nil || !bytes.Equal(m.payload, without.payload) {
		t.Errorf("got %s (%v)", m.payload, err)
	}
}

// Guards against losing a push that is only too long with Sygnal's spaces.
func TestWithNothingToCutOnlyTheRealSizeCounts(t *testing.T) {
	t.Parallel()
	data := fmt.Appendf(nil, `{"default_payload": {"aps": {"alert": {"loc-key": "N"}}, "list": [%s0]}}`, strings.Repeat("0,", 1900))
	m, err := build(notice().Reduced(), deviceWith(data), options{}, 4096)
	if err != nil || m.background || len(spaced(decode(t, m.payload))) <= 4096 {
		t.Errorf("got %.100s (%v)", m.payload, err)
	}
}

func TestManyTextsAreCutInNoTime(t *testing.T) {
	t.Parallel()
	args := strings.Repeat(`"`+strings.Repeat("x", 50)+`",`, 10_000) + `""`
	data := json.RawMessage(`{"default_payload": {"aps": {"alert": {"loc-args": [` + args + `]}}}}`)
	m, err := build(notice().Reduced(), deviceWith(data), options{}, 4096) // half a megabyte; endless if each cut searches for the longest
	if err != nil || !m.background {
		t.Errorf("got %.100s (%v)", m.payload, err)
	}
}

// Clients escape characters in default_payload that Sygnal does not.
func TestAPayloadIsMeasuredAsSygnalWritesIt(t *testing.T) {
	t.Parallel()
	for compact, want := range map[string]int{
		`{}`: 2, `[1,{"a":2,"b":[]}]`: 22, `",:"`: 4, `"\\"`: 4, `"\"\\\b\f\\n\r\t"`: 17, `"\\u0041"`: 9, `"\\/"`: 5, `"\/"`: 3,
		`"\u0041"`: 3, `"\u00E9"`: 4, `"\u20ac\u2028"`: 8, `"\ud83d\ude00"`: 6, `"\u000A"`: 4, `"\u0022"`: 4, `"\u0001"`: 8, `"\u007f"`: 3,
	} {
		if got := measure([]byte(compact)); got != (size{want, len(compact)}) {
			t.Errorf("%s has %v bytes, want %d", compact, got, want)
		}
	}
}

// alphabet has characters of each size and each kind of escaping.
var alphabet = []string{"a", "b", `"`, `\`, "\n", "\x00", "\x1f", "\x7f", "<", "/", "é", "€", "\u2028", "\u2029", "😀", "�"}

func TestEveryCutIsTheSameAsSygnals(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		var b strings.Builder
		few := 1 + random.IntN(len(alphabet))
		for range random.IntN(25) {
			b.WriteString(alphabet[random.IntN(few)])
		}
		return b.String()
	}
	for i := range 400 {
		compare(t, i%shapes, [3]string{word(), word(), word()}, random.IntN(100))
	}
}

func FuzzTruncate(f *testing.F) {
	for shape := range shapes {
		f.Add(shape, "abc", "de", "fgh", 3)
		f.Add(shape, "\u2028\"\x01", "😀é", strings.Join(alphabet, ""), 40)
	}
	f.Fuzz(func(t *testing.T, shape int, a, b, c string, less int) {
		if len(a)+len(b)+len(c) > 500 {
			return // the oracle is slow
		}
		texts := [3]string{strings.ToValidUTF8(a, ""), strings.ToValidUTF8(b, ""), strings.ToValidUTF8(c, "")}
		compare(t, int(uint(shape)%shapes), texts, (less&0xffff)%600)
	})
}

// shapes is the number of payload forms to compare.
const shapes = 4

// shaped returns a notification and a pusher's data with these texts.
func shaped(shape int, texts [3]string) (*providers.Notification, json.RawMessage) {
	a, b, c := texts[0], texts[1], texts[2]
	n := notice(content(string(clientjson.Marshal(map[string]any{"msgtype": "m.text", "body": c}))), func(n *providers.Notification) {
		n.SenderDisplayName, n.RoomName = a, b
	})
	var inDefault any = map[string]any{"title": c, "body": a, "loc-args": []any{b, 7, c}}
	switch shape {
	case 0:
		inDefault, n = a, n.Reduced()
	case 1:
		n = n.Reduced()
	case 2:
		return n, nil
	}
	aps := map[string]any{"alert": inDefault}
	return n, clientjson.Marshal(map[string]any{"default_payload": map[string]any{"aps": aps, "x": c}})
}

// compare cuts a payload to fewer bytes than it has.
func compare(t *testing.T, shape int, texts [3]string, less int) {
	t.Helper()
	n, data := shaped(shape, texts)
	whole, err := build(n, deviceWith(data), options{}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := decode(t, whole.payload)
	limit := max(0, len(spaced(want))-less)
	m, err := build(n, deviceWith(data), options{}, limit)
	if len(m.payload) > limit || !utf8.Valid(m.payload) {
		t.Errorf("%d bytes of %d: %q", len(m.payload), limit, m.payload)
	}
	if !sygnals(want, limit) {
		return // where Sygnal fails
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, m.payload); !reflect.DeepEqual(got, want) {
		t.Errorf("shape %d, limit %d\n got %q\nwant %q", shape, limit, got, want)
	}
}

func decode(t *testing.T, p []byte) map[string]any {
	t.Helper()
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(p))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		t.Fatal(err)
	}
	return members
}

// sygnals cuts a payload exactly by Sygnal's rule, and marshals it again for each character; false if it is still too long with everything
// cut.
func sygnals(p map[string]any, limit int) bool {
	for len(spaced(p)) > limit || len(clientjson.Marshal(p)) > limit {
		aps := p["aps"].(map[string]any)
		longest, shorten := "", func(string) {}
		consider := func(value any, put func(string)) {
			if text, ok := value.(string); ok && len(text) > len(longest) {
				longest, shorten = text, put
			}
		}
		consider(aps["alert"], func(s string) { aps["alert"] = s })
		if alert, ok := aps["alert"].(map[string]any); ok {
			consider(alert["body"], func(s string) { alert["body"] = s })
			args, _ := alert["loc-args"].([]any)
			for i := range args {
				consider(args[i], func(s string) { args[i] = s })
			}
		}
		if longest == "" {
			return false
		}
		characters := []rune(longest)
		shorten(string(characters[:len(characters)-1]))
	}
	return true
}

// spaced returns JSON as Python's json.dumps(ensure_ascii=False) writes it, except for the order of members.
func spaced(value any) string {
	switch value := value.(type) {
	case map[string]any:
		var members []string
		for name, member := range value {
			members = append(members, spaced(name)+": "+spaced(member))
		}
		return "{" + strings.Join(members, ", ") + "}"
	case []any:
		var elements []string
		for _, element := range value {
			elements = append(elements, spaced(element))
		}
		return "[" + strings.Join(elements, ", ") + "]"
	case string: // the two separators have three bytes each in Python
		return string(clientjson.Marshal(strings.NewReplacer("\u2028", "€", "\u2029", "€").Replace(value)))
	default:
		return string(clientjson.Marshal(value))
	}
}
