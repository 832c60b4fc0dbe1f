package messagetest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Unknown is a member that no client or server knows.
const Unknown = "org.example.unknown"

// Added is a member that a fuzzer adds to an object, under a name similar to one that matters.
type Added struct {
	Name, Value string
	// First puts it before the other members.
	First bool
}

// NewAdded returns a member whose name is the numbered one in other letters, one for each bit, or unknown if there are no bits. It is not
// ok if that is the name itself, or if the value is not JSON.
func NewAdded(names []string, number uint8, letters uint32, value string, first bool) (a Added, ok bool) {
	name := names[int(number)%len(names)]
	a = Added{Name: inOtherLetters(name, letters), Value: value, First: first}
	if letters == 0 {
		a.Name = Unknown
	}
	return a, a.Name != name && utf8.ValidString(value) && json.Valid([]byte(value))
}

// inOtherLetters changes the letter at each bit to one that encoding/json treats as equal.
func inOtherLetters(name string, bits uint32) string {
	i := -1
	return strings.Map(func(r rune) rune {
		if i++; bits>>(i%32)&1 == 0 {
			return r
		}
		switch {
		case r == 'k' && bits&1 == 0:
			return '\u212a' // the Kelvin sign
		case r == 's' && bits&1 == 0:
			return '\u017f' // the long s
		case unicode.IsUpper(r):
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, name)
}

// To returns an object with the member in it: in the innermost object that the path of names leads to. Anything but an object stays as it
// is.
func (a Added) To(object string, path ...string) string {
	at := 0
	for _, name := range path {
		found := strings.Index(object[at:], `"`+name+`":`)
		if found < 0 {
			return object
		}
		at += found + len(name) + 3
	}
	begin := at + len(object[at:]) - len(strings.TrimLeft(object[at:], " \t\r\n"))
	if !strings.HasPrefix(object[begin:], "{") {
		return object
	}
	var whole json.RawMessage
	if json.NewDecoder(strings.NewReader(object[begin:])).Decode(&whole) != nil {
		return object
	}
	end := begin + len(whole)
	member := string(append(mustMarshal(a.Name), ':')) + a.Value
	inner := strings.TrimSpace(object[begin+1 : end-1])
	switch {
	case inner == "":
		inner = member
	case a.First:
		inner = member + "," + inner
	default:
		inner += "," + member
	}
	return object[:begin] + "{" + inner + "}" + object[end:]
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// WantSame checks that two JSON documents are equal except for the added member, which may be passed on. A string that is a document is
// compared as one.
func (a Added) WantSame(t *testing.T, got, want []byte) {
	t.Helper()
	if g, w := a.without(decoded(t, got)), a.without(decoded(t, want)); !reflect.DeepEqual(g, w) {
		t.Errorf("with %q: %s\n%s, want\n%s", a.Name, a.Value, got, want)
	}
}

func decoded(t *testing.T, document []byte) (value any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	return value
}

// without returns a value without the member at any depth.
func (a Added) without(value any) any {
	switch v := value.(type) {
	case map[string]any:
		delete(v, a.Name)
		delete(v, "content_"+a.Name) // FCM's form of a content
		for name, inner := range v {
			v[name] = a.without(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = a.without(inner)
		}
	case string:
		var inner any
		if (strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[")) && json.Unmarshal([]byte(v), &inner) == nil {
			return a.without(inner)
		}
	}
	return value
}
