package jsonopt_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/jsonopt"
)

type embedded struct {
	Proxy string `json:"proxy,omitempty"`
}

// options have a member of each kind.
type options struct {
	embedded
	Apps    map[string]*app            `json:"apps,omitempty"`
	Counts  map[string]map[string]int  `json:"counts,omitempty"`
	Wait    *caddy.Duration            `json:"wait,omitempty"`
	Name    string                     `json:"name,omitempty"`
	On      bool                       `json:"on,omitempty"`
	Share   float64                    `json:"share,omitempty"`
	Max     uint8                      `json:"max,omitempty"`
	Ranges  []string                   `json:"ranges,omitempty"`
	Raw     json.RawMessage            `json:"raw,omitempty"`
	Own     own                        `json:"own,omitempty"`
	Untold  string                     `json:"-"`
	Members map[string]json.RawMessage `json:"members,omitempty"`
	Plain   int

	hidden string
}

type app struct {
	Fuse *struct {
		Window caddy.Duration `json:"window,omitempty"`
	} `json:"fuse,omitempty"`
}

// own decodes itself.
type own struct{}

func (*own) UnmarshalJSON(raw []byte) error {
	if string(raw) == `"wrong"` {
		return errors.New("it is wrong: write right")
	}
	return nil
}

func TestAnErrorNamesTheOptionAndItsCure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"an unknown member", `{"Nam":1}`, `there is no option "Nam": did you mean "name"? The options are Plain, apps, counts, max, `},
		{"a member that JSON does not have", `{"untold":""}`, `there is no option "untold": the options are `},
		{"a field that nobody sees", `{"hidden":""}`, `there is no option "hidden": the options are `},
		{"an unknown member with a long name", `{"` + strings.Repeat("x", 100) + `":1}`, `there is no option "` + strings.Repeat("x", 64) + `…"`},
		{"an unknown member further in", `{"apps":{"org.example.*":{"fuse":{"widow":1}}}}`, `app "org.example.*": fuse: there is no option "widow": did you mean "window"?`},
		{"a wrong duration", `{"wait":"10x"}`, `wait: "10x" is not a duration such as 5s or 1d`},
		{"a duration without a unit", `{"wait":"10"}`, `wait: "10" is not a duration such as 5s or 1d`},
		{"a wrong duration further in", `{"apps":{"a":{"fuse":null},"b":{"fuse":{"window":"soon"}}}}`, `app "b": fuse: window: "soon" is not a duration such as 5s or 1d`},
		{"a boolean for a duration", `{"wait":true}`, `wait: must be a duration in quotes, such as 5s or 1d, but it is a boolean`},
		{"half a nanosecond", `{"wait":0.5}`, `wait: must be a duration in quotes, such as 5s or 1d, but it is a number`},
		{"a number for a string", `{"name":12}`, `name: must be a string in quotes, but it is a number`},
		{"an object for a string of an embedded struct", `{"proxy":{}}`, `proxy: must be a string in quotes, but it is an object`},
		{"a string for a boolean", `{"on":"true"}`, `on: must be true or false, without quotes, but it is a string`},
		{"a string for a number", `{"share":"0.5"}`, `share: must be a number, without quotes, but it is a string`},
		{"a string for a whole number", `{"max":"5"}`, `max: must be a whole number, without quotes, but it is a string`},
		{"a fraction for a whole number", `{"max":1.5}`, `max: 1.5 is not a whole number in the permitted range`},
		{"a number that is too large", `{"max":256}`, `max: 256 is not a whole number in the permitted range`},
		{"a string for a list", `{"ranges":"10.0.0.0/8"}`, `ranges: must be a list in square brackets, but it is a string`},
		{"a number in a list", `{"ranges":["10.0.0.0/8",[]]}`, `ranges: entry 2: must be a string in quotes, but it is a list`},
		{"a list for an object", `{"apps":[]}`, `apps: must be an object in braces, but it is a list`},
		{"a string for a struct", `{"apps":{"a":"b"}}`, `app "a": must be an object in braces, but it is a string`},
		{"a string in an object of objects", `{"counts":{"a":{"b":""}}}`, `count "a": "b": must be a whole number, without quotes, but it is a string`},
		{"a type that decodes itself", `{"own":"wrong"}`, `own: it is wrong: write right`},
		{"a list for everything", `[]`, `must be an object in braces, but it is a list`},
		{"the first of two mistakes", `{"on":1,"name":1}`, `on: must be true or false`},
		{"something behind the object", `{}}`, ``},
		{"half an object", `{"name":`, `unexpected EOF`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := jsonopt.Decode([]byte(tt.in), &options{hidden: "x"})
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v: Caddy ignores what follows", err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got the error\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func TestAnErrorShowsNoText(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{"max":"s3cret"}`, `{"on":"s3cret"}`, `{"share":"s3cret"}`, `{"ranges":"s3cret"}`, `{"ranges":[{"s3cret":1}]}`, `{"apps":"s3cret"}`} {
		if err := jsonopt.Decode([]byte(in), new(options)); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got the error %v", in, err)
		}
	}
}

func TestWhatIsValidIsDecodedAsByCaddy(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`{}`, `{"name":null,"wait":null,"apps":null,"max":null}`, `{"NAME":"a","Plain":1,"proxy":"p"}`, `{"wait":"1d","apps":{"a":{"fuse":{"window":"5s"}},"b":null}}`,
		`{"raw":[1],"members":{"a":1},"ranges":["a",null],"own":1,"share":1e-3,"on":true,"max":255,"wait":5}`, `{"name":1,"name":"a"}`,
	} {
		var got, want options
		gotErr, wantErr := jsonopt.Decode([]byte(in), &got), caddy.StrictUnmarshalJSON([]byte(in), &want)
		if !reflect.DeepEqual(got, want) || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("%s: got %+v, %v; Caddy's decoder %+v, %v", in, got, gotErr, want, wantErr)
		}
	}
}

func TestAModuleInAnInterfaceIsDecoded(t *testing.T) {
	t.Parallel()
	var into any = new(options)
	if err := jsonopt.Decode([]byte(`{"name":"a"}`), &into); err != nil || into.(*options).Name != "a" {
		t.Errorf("got %+v, %v", into, err)
	}
	if err := jsonopt.Decode([]byte(`{"nam":"a"}`), &into); err == nil || !strings.Contains(err.Error(), `did you mean "name"?`) {
		t.Errorf("got the error %v", err)
	}
}
