package apns

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/jsonwrite"
)

// object is a JSON object: its members sorted by name, each name once. The values are compact JSON, as they are sent, and those from a client
// are otherwise as the client wrote them. Maps of decoded values, and encoding/json for both ways, took twice the time and memory.
type object []lenient.Member

// readObject returns the members of a JSON object; none for anything else.
func readObject(value json.RawMessage) object {
	if len(value) == 0 {
		return nil
	}
	return lenient.Object(jsonwrite.AppendCompact(make([]byte, 0, len(value)), value))
}

// added is room for the members that nearly all notifications add.
const added = 4

// clone returns a copy that can be changed, with room for more members.
func (o object) clone() object { return append(make(object, 0, len(o)+added), o...) }

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
	o.set(name, jsonwrite.AppendText(make([]byte, 0, len(value)+len(`""`)), value))
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
		b = append(jsonwrite.AppendText(b, member.Name), ':')
		b = append(b, member.Value...)
	}
	return append(b, '}')
}

// appendStrings writes a list of strings.
func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonwrite.AppendText(b, s)
	}
	return append(b, ']')
}
