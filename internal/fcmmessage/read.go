package fcmmessage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Read checks a part of a message, such as android. It returns the part with names in snake_case, without null members, and with each
// value as FCM writes it. The members of the objects are of type map[string]any, []any, string, bool and [json.Number].
//
// The error names the member with its path, what its value is, and what to write instead.
func Read(part string, raw []byte) (map[string]any, error) {
	given, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", part, err)
	}
	m, ok := Message.members[part]
	if !ok || m.object == nil {
		return nil, fmt.Errorf("%s: FCM's v1 API has no such part of a message", part)
	}
	return m.object.read(part, given)
}

var errNoObject = errors.New(`not a JSON object such as {"title": "New message"}`)

// decode decodes an object. If a member occurs twice, the last one counts, as everywhere in Caddy's JSON.
func decode(raw []byte) (jsonObject, error) {
	if !json.Valid(raw) {
		return nil, errNoObject
	}
	var given any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&given); err != nil {
		return nil, errNoObject
	}
	object, ok := given.(jsonObject)
	if !ok {
		return nil, errNoObject
	}
	return object, nil
}

func (o *Object) read(path string, given jsonObject) (jsonObject, error) {
	spelled := make(map[string]string, len(given))
	read := make(jsonObject, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		snake, ok := o.names[name]
		if !ok {
			return nil, o.unknown(path, name)
		}
		if other, twice := spelled[snake]; twice {
			return nil, fmt.Errorf("%s: %s and %s are the same member: leave one of them out", path, other, name)
		}
		spelled[snake] = name
		if given[name] == nil {
			continue // null counts as absent, https://protobuf.dev/programming-guides/json/
		}
		m, at := o.members[snake], path+"."+name
		value, err := m.read(at, given[name])
		if err != nil {
			return nil, err
		}
		if value == "" && m.kind != kindText {
			continue // counts as absent, and does not have the kind's form
		}
		read[snake] = value
	}
	for _, r := range o.rules {
		if err := r(path, read); err != nil {
			return nil, err
		}
	}
	return read, nil
}

// unknown returns the error for a name that the object does not have.
func (o *Object) unknown(path, name string) error {
	near := o.Nearest(name)
	if why := Message.Ours(name); why != "" {
		return fmt.Errorf("%s.%s: %s: leave it out", path, name, why)
	}
	name = shorten(name)
	if near != "" {
		return fmt.Errorf("%s.%s: FCM's v1 API has no such member; did you mean %s?", path, name, near)
	}
	return fmt.Errorf("%s.%s: FCM's v1 API has no such member: leave it out", path, name)
}

// needs returns the rule that members are required.
func needs(names ...string) rule {
	return func(path string, given jsonObject) error {
		for _, name := range names {
			if given[name] == nil {
				return fmt.Errorf("%s.%s: it is missing: FCM requires it here", path, name)
			}
		}
		return nil
	}
}

// exactlyOne returns the rule that exactly one of two members is required.
func exactlyOne(a, b string) rule {
	return func(path string, given jsonObject) error {
		if (given[a] == nil) == (given[b] == nil) {
			return fmt.Errorf("%s: FCM requires exactly one of %s and %s", path, a, b)
		}
		return nil
	}
}

// locKeys is the rule that arguments require the key of the text that they are for.
func locKeys(path string, given jsonObject) error {
	for _, part := range []string{"title", "body"} {
		arguments, _ := given[part+"_loc_args"].([]any)
		if len(arguments) > 0 && (given[part+"_loc_key"] == nil || given[part+"_loc_key"] == "") {
			return fmt.Errorf("%s.%s_loc_args: it requires %s_loc_key, which is missing: set that too", path, part, part)
		}
	}
	return nil
}

// direction checks the only member of a notification whose value may make browsers throw,
// https://notifications.spec.whatwg.org/#enumdef-notificationdirection. The other members are left to the operator and the browser.
func direction(path string, given jsonObject) error {
	switch given["dir"] {
	case nil, "", "auto", "ltr", "rtl":
		return nil
	}
	return fmt.Errorf("%s.dir: %s is not a direction: write \"auto\", \"ltr\" or \"rtl\"", path, show(given["dir"]))
}

// aps checks the only member of a payload that the gateway must understand, and the only limit in it that Apple documents,
// https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification. The rest is left to the operator and
// Apple.
func aps(path string, given jsonObject) error {
	if given["aps"] == nil {
		return nil
	}
	members, ok := given["aps"].(jsonObject)
	if !ok {
		return wrong(path+".aps", given["aps"], `an object such as {"alert": {"title": "New message"}}`)
	}
	sound, _ := members["sound"].(jsonObject)
	if sound["volume"] == nil {
		return nil
	}
	if volume, ok := sound["volume"].(json.Number); ok {
		if v, err := strconv.ParseFloat(volume.String(), 64); err == nil && v >= 0 && v <= 1 {
			return nil
		}
	}
	return fmt.Errorf("%s.aps.sound.volume: %s is not a volume: write a number from 0 to 1", path, show(sound["volume"]))
}
