package apns

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/jsonwrite"
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
	w := jsonwrite.New(size)
	w.Members(o)
	return w.Bytes()
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
