// Package jsonopt decodes the JSON configuration of modules as Caddy does. Its errors name the option, and say what to write instead.
package jsonopt

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// Durations are examples of durations, for errors.
const Durations = "5s or 1d"

// Decode decodes JSON into what a pointer leads to, and refuses unknown members. Only encoding/json decides what is valid. If it refuses
// the JSON, Decode looks for the member that is wrong.
func Decode(raw []byte, into any) error {
	err := caddy.StrictUnmarshalJSON(raw, into)
	if err == nil || !json.Valid(raw) {
		return err
	}
	v := reflect.ValueOf(into)
	for (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && !v.IsNil() {
		v = v.Elem()
	}
	if why := explain(raw, v.Type()); why != nil {
		return why
	}
	return err
}

// Names returns the names of a struct's members in JSON, with those of embedded structs.
func Names(t reflect.Type) (names []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, m := range membersOf(t) {
		names = append(names, m.name)
	}
	return names
}

type member struct {
	name string
	typ  reflect.Type
}

func membersOf(t reflect.Type) (list []member) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			list = append(list, membersOf(f.Type)...)
		case !f.IsExported() || name == "-":
		case name == "":
			list = append(list, member{f.Name, f.Type})
		default:
			list = append(list, member{name, f.Type})
		}
	}
	return list
}

// find returns the member that encoding/json uses for a name. It ignores the case of letters if no name is equal.
func find(list []member, name string) (found member, ok bool) {
	for _, m := range list {
		if m.name == name {
			return m, true
		}
	}
	for _, m := range list {
		if strings.EqualFold(m.name, name) {
			return m, true
		}
	}
	return member{}, false
}

func unknown(name string, list []member) error {
	names := make([]string, len(list))
	for i, m := range list {
		names[i] = m.name
	}
	return fmt.Errorf("there is no option %s%s", nearest.Shown(name), nearest.Instead(name, "options", names))
}

// element returns the name of a map's element in errors, such as `app "org.example.ios"` in apps.
func element(name, key string) string {
	return strings.TrimSuffix(name, "s") + " " + nearest.Shown(key)
}

// decodes returns the error of decoding JSON into a new value of a type.
func decodes(raw []byte, t reflect.Type) error {
	return json.Unmarshal(raw, reflect.New(t).Interface())
}
