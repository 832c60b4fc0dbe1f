package fcmtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// field reads the JSON of a field as Google reads proto JSON: https://protobuf.dev/programming-guides/json/. at is the field's path, such
// as message.android.ttl.
type field func(c *check, at string, raw json.RawMessage)

// check collects the violations of a request.
type check struct {
	syntax []violation // refused by every Google API before FCM sees it
	rules  []violation // refused by FCM
	own    []violation // accepted by FCM, and only recorded by this fake

	message      json.RawMessage
	token, fid   string
	data         map[string]string
	validateOnly bool
}

func (c *check) bad(at, format string, args ...any) {
	c.syntax = append(c.syntax, violation{at, fmt.Sprintf(format, args...)})
}

// badValue reports that a value does not have its field's type.
func (c *check) badValue(at, kind string, raw json.RawMessage) {
	c.bad(at, "Invalid value at '%s' (%s), %s", at, kind, raw)
}

func (c *check) breaks(at, rule string) { c.rules = append(c.rules, violation{at, rule}) }

func (c *check) record(at, rule string) { c.own = append(c.own, violation{at, rule}) }

// all returns all violations.
func (c *check) all() (violations []string) {
	for _, list := range [][]violation{c.syntax, c.rules, c.own} {
		for _, v := range list {
			violations = append(violations, strings.TrimPrefix(v.Field+": "+v.Description, ": "))
		}
	}
	return violations
}

// refusal returns Google's answer; nil if nothing is wrong.
func (c *check) refusal() *providertest.Answer {
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
	a := errorAnswer(http.StatusBadRequest, "INVALID_ARGUMENT", code, strings.Join(messages, "\n"), violations)
	return &a
}

// member is a member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf returns a JSON object's members, in their order and with duplicates.
func membersOf(raw json.RawMessage) (members []member, ok bool) {
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
		members = append(members, member{name, value})
	}
	return members, true
}

// camelCase returns a field's second name: proto JSON accepts collapseKey for collapse_key, but no mixture of both.
func camelCase(name string) string {
	words := strings.Split(name, "_")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

// asObject returns the reader of a message of the proto schema.
func asObject(kind string, fields map[string]field) field {
	names := make(map[string]string)
	for name := range fields {
		names[name], names[camelCase(name)] = name, name
	}
	return func(c *check, at string, raw json.RawMessage) {
		members, ok := membersOf(raw)
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
			case string(m.value) != "null": // null means the same as a missing member
				read(c, prefix+name, m.value)
			}
			seen[name] = true
		}
	}
}

// asScalar returns the reader of a field that is a T.
func asScalar[T any](kind string) field {
	return func(c *check, at string, raw json.RawMessage) {
		if string(raw) == "null" || json.Unmarshal(raw, new(T)) != nil {
			c.badValue(at, kind, raw)
		}
	}
}

var (
	asString = asScalar[string]("TYPE_STRING")
	asBool   = asScalar[bool]("TYPE_BOOL")
	asInt32  = asScalar[int32]("TYPE_INT32")
	asFloat  = asScalar[float32]("TYPE_FLOAT")
	// asStruct reads any JSON object.
	asStruct = asScalar[map[string]json.RawMessage]("type.googleapis.com/google.protobuf.Struct")
	// asTimestamp reads a time in the form of RFC 3339.
	asTimestamp = asScalar[time.Time]("type.googleapis.com/google.protobuf.Timestamp")
)

// asEnum returns the reader of one of the names, in any case.
func asEnum(kind string, names ...string) field {
	return func(c *check, at string, raw json.RawMessage) {
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

var secondsForm = regexp.MustCompile(`^-?[0-9]{1,9}(\.[0-9]{1,9})?s$`)

// asDuration reads a google.protobuf.Duration, such as "3.5s".
func asDuration(c *check, at string, raw json.RawMessage) { c.duration(at, raw) }

func (c *check) duration(at string, raw json.RawMessage) (time.Duration, bool) {
	var text string
	if json.Unmarshal(raw, &text) != nil || !secondsForm.MatchString(text) {
		c.bad(at, "Invalid value at '%s' (type.googleapis.com/google.protobuf.Duration), Field '%s', "+
			"Illegal duration format; duration must end with 's'", at, at[strings.LastIndexByte(at, '.')+1:])
		return 0, false
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// asList returns the reader of a repeated field.
func asList(element field) field {
	return func(c *check, at string, raw json.RawMessage) {
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) != nil {
			c.badValue(at, "TYPE_REPEATED", raw)
		}
		for i, e := range elements {
			element(c, fmt.Sprintf("%s[%d]", at, i), e)
		}
	}
}

// asStrings reads a map from string to string.
func asStrings(c *check, at string, raw json.RawMessage) { c.strings(at, raw) }

// strings reads a map from string to string. It returns the valid entries.
func (c *check) strings(at string, raw json.RawMessage) map[string]string {
	members, ok := membersOf(raw)
	if !ok {
		c.badValue(at, "TYPE_MAP", raw)
		return nil
	}
	values := map[string]string{}
	for i, m := range members {
		var value *string // null is not a string here
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
