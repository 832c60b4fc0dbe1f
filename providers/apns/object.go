package apns

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// object is a JSON object: its members as [lenient.Object] returns them. The values that come from a client are JSON as the client wrote
// it. Maps of decoded values, and encoding/json for both ways, took twice the time and memory.
type object []lenient.Member

func (o object) find(name string) (at int, found bool) {
	return slices.BinarySearchFunc(o, name, func(m lenient.Member, name string) int { return cmp.Compare(m.Name, name) })
}

// get returns the value of a member; nil if there is none.
func (o object) get(name string) json.RawMessage {
	if at, found := o.find(name); found {
		return o[at].Value
	}
	return nil
}

// set adds a member, or replaces it.
func (o *object) set(name string, value json.RawMessage) {
	at, found := o.find(name)
	if !found {
		*o = slices.Insert(*o, at, lenient.Member{Name: name})
	}
	(*o)[at].Value = value
}

func (o *object) setString(name, value string) {
	o.set(name, appendString(make([]byte, 0, len(value)+len(`""`)), value))
}

func (o *object) setNumber(name string, value int64) { o.set(name, strconv.AppendInt(nil, value, 10)) }

func (o *object) remove(names ...string) {
	for _, name := range names {
		if at, found := o.find(name); found {
			*o = slices.Delete(*o, at, at+1)
		}
	}
}

// marshal returns the object as compact JSON, the same as [clientjson.Marshal] of a map.
func (o object) marshal() json.RawMessage {
	size := len(`{}`)
	for _, member := range o {
		size += len(`"":,`) + len(member.Name) + len(member.Value)
	}
	b := append(make([]byte, 0, size), '{')
	for i, member := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, member.Name), ':')
		b = appendCompact(b, member.Value)
	}
	return append(b, '}')
}

// appendString writes a string. It escapes the two line separators of JavaScript, as encoding/json does.
func appendString(b []byte, s string) []byte {
	start := len(b)
	b, _ = jsontext.AppendQuote(b, s)
	if strings.Contains(s, "\u2028") || strings.Contains(s, "\u2029") {
		escaped := bytes.ReplaceAll(b[start:], []byte("\u2028"), []byte(`\u2028`))
		b = append(b[:start], bytes.ReplaceAll(escaped, []byte("\u2029"), []byte(`\u2029`))...)
	}
	return b
}

// appendStrings writes a list of strings.
func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendCompact writes valid JSON without the white space between its tokens.
func appendCompact(b, value []byte) []byte {
	quoted, done := false, 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\':
			i++
		case !quoted && c <= ' ':
			b = append(b, value[done:i]...)
			done = i + 1
		}
	}
	return append(b, value[done:]...)
}
