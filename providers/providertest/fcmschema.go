package providertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// fcmField reads the JSON of a field as Google reads proto JSON, https://protobuf.dev/programming-guides/json/; at is where the field
// is, such as message.android.ttl.
type fcmField func(c *fcmCheck, at string, raw json.RawMessage)

// fcmCheck is what is known of a request so far.
type fcmCheck struct {
	syntax []fcmViolation // what every Google API refuses before FCM sees it
	rules  []fcmViolation // what FCM refuses
	own    []fcmViolation // what FCM lets pass and this fake only records

	message      json.RawMessage
	token, fid   string
	data         map[string]string
	validateOnly bool
}

func (c *fcmCheck) bad(at, format string, args ...any) {
	c.syntax = append(c.syntax, fcmViolation{at, fmt.Sprintf(format, args...)})
}

// badValue says that a value is not of a field's type.
func (c *fcmCheck) badValue(at, kind string, raw json.RawMessage) {
	c.bad(at, "Invalid value at '%s' (%s), %s", at, kind, raw)
}

func (c *fcmCheck) breaks(at, rule string) { c.rules = append(c.rules, fcmViolation{at, rule}) }

func (c *fcmCheck) record(at, rule string) { c.own = append(c.own, fcmViolation{at, rule}) }

// all is everything that is wrong.
func (c *fcmCheck) all() (violations []string) {
	for _, list := range [][]fcmViolation{c.syntax, c.rules, c.own} {
		for _, v := range list {
			violations = append(violations, strings.TrimPrefix(v.Field+": "+v.Description, ": "))
		}
	}
	return violations
}

// refusal is Google's answer; nil if nothing is wrong.
func (c *fcmCheck) refusal() *Answer {
	violations, code := c.syntax, ""
	if len(violations) == 0 {
		violations, code = c.rules, "INVALID_ARGUMENT"
	}
	if len(violations) == 0 {
		return nil
	}
	var messages []string
	for _, v := range violations {
		messages = append(messages, v.Description)
	}
	a := fcmAnswer(http.StatusBadRequest, "INVALID_ARGUMENT", code, strings.Join(messages, "\n"), violations)
	return &a
}

// fcmMember is a member of a JSON object.
type fcmMember struct {
	name  string
	value json.RawMessage
}

// fcmMembers are a JSON object's, in their order and with duplicates.
func fcmMembers(raw json.RawMessage) (members []fcmMember, ok bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		token, err := d.Token()
		name, isName := token.(string)
		var value json.RawMessage
		if err != nil || !isName || d.Decode(&value) != nil {
			return nil, false
		}
		members = append(members, fcmMember{name, value})
	}
	return members, true
}

// fcmCamel is a field's second name: proto JSON takes collapseKey for collapse_key, and no mixture of both.
func fcmCamel(name string) string {
	words := strings.Split(name, "_")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

// fcmObject is a message of the proto schema.
func fcmObject(kind string, fields map[string]fcmField) fcmField {
	names := make(map[string]string)
	for name := range fields {
		names[name], names[fcmCamel(name)] = name, name
	}
	return func(c *fcmCheck, at string, raw json.RawMessage) {
		members, ok := fcmMembers(raw)
		if !ok {
			c.badValue(at, "type.googleapis.com/google.firebase.fcm.v1."+kind, raw)
			return
		}
		inside, prefix := "", ""
		if at != "" {
			inside, prefix = " at '"+at+"'", at+"."
		}
		seen := map[string]bool{}
		for _, m := range members {
			name := names[m.name]
			read := fields[name]
			switch {
			case read == nil:
				c.bad(at, "Invalid JSON payload received. Unknown name \"%s\"%s: Cannot find field.", m.name, inside)
			case seen[name]:
				c.bad(at, "Invalid JSON payload received. Duplicate name \"%s\"%s.", m.name, inside)
			case string(m.value) != "null": // null is as good as left out
				read(c, prefix+name, m.value)
			}
			seen[name] = true
		}
	}
}

// fcmScalar is a field that is read into a T.
func fcmScalar[T any](kind string) fcmField {
	return func(c *fcmCheck, at string, raw json.RawMessage) {
		if string(raw) == "null" || json.Unmarshal(raw, new(T)) != nil {
			c.badValue(at, kind, raw)
		}
	}
}

var (
	fcmString = fcmScalar[string]("TYPE_STRING")
	fcmBool   = fcmScalar[bool]("TYPE_BOOL")
	fcmInt32  = fcmScalar[int32]("TYPE_INT32")
	fcmFloat  = fcmScalar[float32]("TYPE_FLOAT")
	// fcmStruct is any JSON object.
	fcmStruct = fcmScalar[map[string]json.RawMessage]("type.googleapis.com/google.protobuf.Struct")
	// fcmTimestamp is in RFC 3339.
	fcmTimestamp = fcmScalar[time.Time]("type.googleapis.com/google.protobuf.Timestamp")
)

// fcmEnum is one of the names, in any case.
func fcmEnum(kind string, names ...string) fcmField {
	return func(c *fcmCheck, at string, raw json.RawMessage) {
		var value string
		if json.Unmarshal(raw, &value) == nil {
			for _, name := range names {
				if strings.EqualFold(name, value) {
					return
				}
			}
		}
		c.badValue(at, "type.googleapis.com/google.firebase.fcm.v1."+kind, raw)
	}
}

var fcmSeconds = regexp.MustCompile(`^-?[0-9]{1,9}(\.[0-9]{1,9})?s$`)

// fcmDuration is a google.protobuf.Duration, such as "3.5s".
func fcmDuration(c *fcmCheck, at string, raw json.RawMessage) { c.duration(at, raw) }

func (c *fcmCheck) duration(at string, raw json.RawMessage) (time.Duration, bool) {
	var text string
	if json.Unmarshal(raw, &text) != nil || !fcmSeconds.MatchString(text) {
		c.bad(at, "Invalid value at '%s' (type.googleapis.com/google.protobuf.Duration), Field '%s', "+
			"Illegal duration format; duration must end with 's'", at, at[strings.LastIndexByte(at, '.')+1:])
		return 0, false
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// fcmList is a repeated field.
func fcmList(element fcmField) fcmField {
	return func(c *fcmCheck, at string, raw json.RawMessage) {
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) != nil {
			c.badValue(at, "TYPE_REPEATED", raw)
		}
		for i, e := range elements {
			element(c, fmt.Sprintf("%s[%d]", at, i), e)
		}
	}
}

// fcmStrings is a map from string to string.
func fcmStrings(c *fcmCheck, at string, raw json.RawMessage) { c.strings(at, raw) }

// strings reads a map from string to string; as much of it as there is.
func (c *fcmCheck) strings(at string, raw json.RawMessage) map[string]string {
	members, ok := fcmMembers(raw)
	if !ok {
		c.badValue(at, "TYPE_MAP", raw)
		return nil
	}
	values := map[string]string{}
	for i, m := range members {
		var value *string // null is no string here
		if json.Unmarshal(m.value, &value) != nil || value == nil {
			c.badValue(fmt.Sprintf("%s[%d].value", at, i), "TYPE_STRING", m.value)
			continue
		}
		if _, twice := values[m.name]; twice {
			c.bad(at, "Invalid JSON payload received. Duplicate name \"%s\" at '%s'.", m.name, at)
		}
		values[m.name] = *value
	}
	return values
}
