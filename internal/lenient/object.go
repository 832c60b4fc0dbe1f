package lenient

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Member is a member of a JSON object.
type Member struct {
	Name string
	// Value is JSON, and a part of the data that it was read from: do not change it.
	Value json.RawMessage
}

// Object returns the members of a JSON object, sorted by name, each name once; none for anything else. Unlike with a map, no value is
// copied.
func Object(data []byte) []Member {
	o := object{data: data, all: true}
	if !o.read() {
		return nil
	}
	slices.SortStableFunc(o.members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	once := o.members[:0]
	for i, member := range o.members {
		if i+1 == len(o.members) || o.members[i+1].Name != member.Name { // the last one counts
			once = append(once, member)
		}
	}
	return once
}

// Value returns the value of a member of a JSON object, as a part of the data; nil if there is none.
func Value(data []byte, name string) json.RawMessage {
	o := object{data: data, only: name}
	if !o.read() || len(o.members) == 0 {
		return nil
	}
	return o.members[len(o.members)-1].Value
}

// object reads the members of the object that is all of the data.
type object struct {
	data    []byte
	all     bool   // whether to read all members
	only    string // otherwise, the only name to read
	members []Member
}

func (o *object) read() bool { return len(o.data) > 0 && Unmarshal(o.data, o) == nil }

// UnmarshalJSONFrom is called by [Unmarshal].
func (o *object) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != jsontext.KindBeginObject {
		return d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if o.all {
		o.members = make([]Member, 0, 8) // as many as a client's objects usually have, and room for some more
	}
	for d.PeekKind() != jsontext.KindEndObject {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		if o.all || o.only == name {
			end := int(d.InputOffset())
			o.members = append(o.members, Member{name, o.data[end-len(value) : end : end]})
		}
	}
	_, err := d.ReadToken()
	return err
}
