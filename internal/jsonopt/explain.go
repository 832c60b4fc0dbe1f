package jsonopt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

var (
	durationType    = reflect.TypeFor[caddy.Duration]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
)

// explain returns why JSON cannot be decoded into a value of a type. It is nil if explain finds nothing. An error shows no value except a
// duration: a text may be secret.
func explain(raw []byte, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	has := kindOf(raw)
	switch {
	case has == "null":
		return nil
	case t == durationType:
		return duration(raw, has)
	case reflect.PointerTo(t).Implements(unmarshalerType):
		return decodes(raw, t)
	case t.Kind() == reflect.Struct:
		return inObject(raw, has, func(name string, value json.RawMessage) error { return inMember(t, name, value) })
	case t.Kind() == reflect.Map:
		return inObject(raw, has, func(key string, value json.RawMessage) error {
			return within(nearest.Shown(key), explain(value, t.Elem()))
		})
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return inList(raw, has, t.Elem())
	default:
		return scalar(raw, has, t)
	}
}

// inMember looks for the mistake in an object's member.
func inMember(t reflect.Type, name string, value json.RawMessage) error {
	list := membersOf(t)
	m, ok := find(list, name)
	if !ok {
		return unknown(name, list)
	}
	if has := kindOf(value); m.typ.Kind() == reflect.Map && has == "object" {
		return inObject(value, has, func(key string, value json.RawMessage) error {
			return within(element(m.name, key), explain(value, m.typ.Elem()))
		})
	}
	return within(m.name, explain(value, m.typ))
}

func within(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// inObject calls a function for each member of an object, in the order in which they are written, until it returns an error.
func inObject(raw []byte, has string, look func(name string, value json.RawMessage) error) error {
	if has != "object" {
		return mustBe(has, "an object in braces")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := look(name.(string), value); err != nil {
			return err
		}
	}
	return nil
}

func inList(raw []byte, has string, of reflect.Type) error {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return mustBe(has, "a list in square brackets")
	}
	for i, value := range list {
		if err := explain(value, of); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return nil
}

func duration(raw []byte, has string) error {
	if decodes(raw, durationType) == nil {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return mustBe(has, "a duration in quotes, such as "+Durations)
	}
	return fmt.Errorf("%s is not a duration such as %s", nearest.Shown(text), Durations)
}

func scalar(raw []byte, has string, t reflect.Type) error {
	if decodes(raw, t) == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		return mustBe(has, "a string in quotes")
	case reflect.Bool:
		return mustBe(has, "true or false, without quotes")
	case reflect.Float32, reflect.Float64:
		return mustBe(has, "a number, without quotes")
	default:
		if has == "number" {
			return fmt.Errorf("%.20s is not a whole number in the permitted range", bytes.TrimSpace(raw))
		}
		return mustBe(has, "a whole number, without quotes")
	}
}

func mustBe(has, want string) error {
	article := "a "
	if strings.HasPrefix(has, "o") {
		article = "an "
	}
	return fmt.Errorf("must be %s, but it is %s%s", want, article, has)
}

// kindOf returns the kind of a JSON value.
func kindOf(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "null"
	}
	switch raw[0] {
	case '{':
		return "object"
	case '[':
		return "list"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "number"
	}
}
