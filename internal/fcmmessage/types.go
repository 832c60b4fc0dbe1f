package fcmmessage

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// kind is the kind of a value.
type kind uint8

const (
	kindText kind = iota
	kindBoolean
	kindInteger
	kindFraction
	kindDuration
	kindTimestamp
	kindEnum
	kindColor
	kindImage
	kindLink
	kindLabel
	kindTexts // a map of texts
	kindList
	kindObject
	kindFree // any object
	kindOurs // not for the operator to set
)

// member is the type of a member, and its limits.
type member struct {
	kind   kind
	values []string                              // of kindEnum
	of     *member                               // the items of kindList
	object *Object                               // of kindObject
	inside func(path string, v jsonObject) error // checks the members of a kindFree
	max    time.Duration                         // of kindDuration; 0 for none
	why    string                                // of kindOurs
}

var (
	text     = member{kind: kindText}
	boolean  = member{kind: kindBoolean}
	integer  = member{kind: kindInteger}
	fraction = member{kind: kindFraction}
	duration = member{kind: kindDuration}
	color    = member{kind: kindColor}
	image    = member{kind: kindImage}
	label    = member{kind: kindLabel}
	texts    = member{kind: kindTexts}
)

func list(of member) member              { return member{kind: kindList, of: &of} }
func object(o *Object) member            { return member{kind: kindObject, object: o} }
func enum(values ...string) member       { return member{kind: kindEnum, values: values} }
func ours(why string) member             { return member{kind: kindOurs, why: why} }
func (m members) with(o members) members { maps.Copy(m, o); return m }

// members are the members of an object by name, in snake_case.
type members map[string]member

// jsonObject is a JSON object as encoding/json decodes it, with [encoding/json.Number] for numbers.
type jsonObject = map[string]any

// rule checks how the members of an object depend on each other. It gets them by their snake_case names.
type rule func(path string, given jsonObject) error

// Object is a message of the API's schema.
type Object struct {
	members members
	names   map[string]string // the snake_case name for both spellings
	rules   []rule
}

func newObject(m members, rules ...rule) *Object {
	o := &Object{members: m, names: make(map[string]string, 2*len(m)), rules: rules}
	for name := range m {
		o.names[name], o.names[camel(name)] = name, name
	}
	return o
}

// Names returns the names of all members in snake_case, sorted.
func (o *Object) Names() []string { return slices.Sorted(maps.Keys(o.members)) }

// Member returns the snake_case name of a member that is given in one of the two spellings of proto JSON. It also returns the member's
// object, if that has known members. The name is empty if there is no such member.
func (o *Object) Member(name string) (snake string, inner *Object) {
	snake = o.names[name]
	return snake, o.members[snake].object
}

// Ours returns why the operator must not set a member; empty if they may, or if the member is unknown.
func (o *Object) Ours(name string) string { return o.members[o.names[name]].why }

// camel returns a snake_case name in lowerCamelCase, https://protobuf.dev/programming-guides/json/.
func camel(snake string) string {
	words := strings.Split(snake, "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// Known returns the beginning of a path, such as message.android.ttl, as far as the schema has its members; empty if it does not begin
// with message.
func Known(path string) string {
	segments := strings.Split(path, ".")
	if segments[0] != "message" {
		return ""
	}
	known, at := "message", Message
	for _, segment := range segments[1:] {
		segment, _, _ = strings.Cut(segment, "[") // of a list or a map
		if at == nil || at.names[segment] == "" {
			break
		}
		known += "." + segment
		_, at = at.Member(segment)
	}
	return known
}
