package fcmmessage

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// read checks a value that is not null, and returns it as FCM writes it.
func (m *member) read(path string, v any) (any, error) {
	switch m.kind {
	case kindOurs:
		return nil, fmt.Errorf("%s: %s: leave it out", path, m.why)
	case kindBoolean:
		return typed[bool](path, v, "true or false, without quotes")
	case kindInteger:
		return readInteger(path, v)
	case kindFraction:
		return readFraction(path, v)
	case kindTexts:
		return readTexts(path, v)
	case kindList:
		return m.readList(path, v)
	case kindObject, kindFree:
		return m.readObject(path, v)
	default:
		return m.readText(path, v)
	}
}

// typed returns a value of a type.
func typed[T any](path string, v any, want string) (T, error) {
	value, ok := v.(T)
	if !ok {
		return value, wrong(path, v, want)
	}
	return value, nil
}

func (m *member) readObject(path string, v any) (any, error) {
	given, err := typed[jsonObject](path, v, "an object: put its members in braces")
	if err != nil {
		return nil, err
	}
	if m.kind == kindObject {
		return m.object.read(path, given)
	}
	if err := finite(path, given); err != nil {
		return nil, err
	}
	return given, m.inside(path, given)
}

// finite returns an error if a free object contains a number that is too large for a google.protobuf.Struct.
func finite(path string, v any) error {
	switch v := v.(type) {
	case jsonObject:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if err := finite(path+"."+name, v[name]); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range v {
			if err := finite(fmt.Sprintf("%s[%d]", path, i), item); err != nil {
				return err
			}
		}
	case json.Number:
		if _, err := v.Float64(); err != nil {
			return fmt.Errorf("%s: the number %s is too large", path, shorten(v.String()))
		}
	}
	return nil
}

func (m *member) readList(path string, v any) (any, error) {
	items, err := typed[[]any](path, v, "a list: put it in brackets")
	if err != nil {
		return nil, err
	}
	read := make([]any, len(items))
	for i, item := range items {
		if read[i], err = m.of.read(fmt.Sprintf("%s[%d]", path, i), item); err != nil {
			return nil, err
		}
	}
	return read, nil
}

func readTexts(path string, v any) (any, error) {
	given, err := typed[jsonObject](path, v, `an object of strings such as {"name": "value"}`)
	if err != nil {
		return nil, err
	}
	read := make(jsonObject, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if given[name] == nil {
			continue
		}
		if read[name], err = typed[string](path+"."+name, given[name], "a string: put it in quotes"); err != nil {
			return nil, err
		}
	}
	return read, nil
}

// readInteger reads an int32. Proto JSON also accepts 1.0.
func readInteger(path string, v any) (any, error) {
	const want = "a whole number"
	number, err := typed[json.Number](path, v, want+", without quotes")
	if err != nil {
		return nil, err
	}
	f, err := number.Float64()
	if err != nil || f != math.Trunc(f) || f < math.MinInt32 || f > math.MaxInt32 {
		return nil, fmt.Errorf("%s: %s is not %s from -2147483648 to 2147483647", path, shorten(number.String()), want)
	}
	return json.Number(strconv.FormatInt(int64(f), 10)), nil
}

func readFraction(path string, v any) (any, error) {
	number, err := typed[json.Number](path, v, "a number from 0 to 1")
	if err != nil {
		return nil, err
	}
	if f, err := number.Float64(); err != nil || f < 0 || f > 1 {
		return nil, fmt.Errorf("%s: %s is not a number from 0 to 1", path, shorten(number.String()))
	}
	return number, nil
}

var (
	seconds   = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,9})?s$`)
	colorForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	labelForm = regexp.MustCompile(`^[a-zA-Z0-9_.~%-]{1,50}$`) // https://firebase.google.com/docs/cloud-messaging/understand-delivery
	// forms describe the forms that strings may have, each with an example.
	forms = map[kind][2]string{
		kindDuration:  {"a number of seconds", "3600s"},
		kindTimestamp: {"a time", "2026-01-31T12:00:00Z"},
		kindColor:     {"a color", "#00ff80"},
		kindImage:     {"an image URL", "https://example.org/image.png"},
		kindLink:      {"an https URL", "https://example.org/"},
		kindLabel:     {"a label of at most 50 letters, digits and -_.~%", "matrix"},
	}
)

// readText reads a string, which may need a form.
func (m *member) readText(path string, v any) (any, error) {
	if m.kind == kindEnum {
		return m.readEnum(path, v)
	}
	form, formed := forms[m.kind]
	want := "a string: put it in quotes"
	if formed {
		want = fmt.Sprintf("a string such as %q", form[1])
	}
	value, err := typed[string](path, v, want)
	switch {
	case err != nil || !formed:
		return value, err
	case m.kind == kindDuration && m.isDuration(value):
		return trimmed(value), nil
	case m.kind != kindDuration && (value == "" || m.fits(value)): // in proto JSON, an empty string counts as absent, except for a duration
		return value, nil
	}
	limit := ""
	if m.max > 0 {
		limit = fmt.Sprintf(", of at most four weeks (%ds)", int(m.max/time.Second))
	}
	return nil, fmt.Errorf("%s: %s is not %s such as %q%s", path, show(v), form[0], form[1], limit)
}

// readEnum reads one of several words. FCM accepts them in any case: its reference has high for HIGH.
func (m *member) readEnum(path string, v any) (any, error) {
	want := "one of " + strings.Join(m.values, ", ")
	value, err := typed[string](path, v, want)
	if err != nil || value == "" {
		return value, err
	}
	if value = strings.ToUpper(value); !slices.Contains(m.values, value) {
		return nil, fmt.Errorf("%s: %s is not %s", path, show(v), want)
	}
	return value, nil
}

// isDuration reports whether a string is a duration within the limit.
func (m *member) isDuration(value string) bool {
	if !seconds.MatchString(value) {
		return false
	}
	d, err := time.ParseDuration(value)
	return m.max == 0 || err == nil && d <= m.max // an error means that it does not fit into a time.Duration
}

// fits reports whether a string has the form of its kind.
func (m *member) fits(value string) bool {
	switch m.kind {
	case kindTimestamp:
		return new(time.Time).UnmarshalText([]byte(value)) == nil
	case kindColor:
		return colorForm.MatchString(value)
	case kindImage:
		_, err := url.ParseRequestURI(value)
		return err == nil
	case kindLink:
		u, err := url.ParseRequestURI(value)
		return err == nil && u.Scheme == "https" && u.Host != ""
	case kindLabel:
		return labelForm.MatchString(value)
	default:
		return true
	}
}

// trimmed returns a duration without leading zeros.
func trimmed(value string) string {
	value = strings.TrimLeft(value, "0")
	if value[0] < '0' || value[0] > '9' {
		return "0" + value
	}
	return value
}

// wrong returns the error for a value of the wrong type.
func wrong(path string, v any, want string) error {
	return fmt.Errorf("%s: it is %s, not %s", path, kindOf(v), want)
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// show returns a value as an error shows it.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(shorten(v))
	case json.Number:
		return shorten(v.String())
	default:
		return kindOf(v)
	}
}

// shorten returns as much of a value as an error shows.
func shorten(value string) string {
	const most = 64
	if len(value) <= most {
		return value
	}
	return strings.ToValidUTF8(value[:most], "") + "…"
}
