package caddyfileopt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// module has an option of each kind.
type module struct {
	Text, Word string
	Number     int
	Duration   *caddy.Duration
	Expire     caddy.Duration
	embedded
}

type embedded struct{ Inner string }

func (e *embedded) UnmarshalOption(d *caddyfile.Dispenser) (bool, error) {
	if d.Val() != "inner" {
		return false, nil
	}
	return true, Text(&e.Inner)(d)
}

func (m *module) String() string {
	if m.Duration == nil {
		m.Duration = new(caddy.Duration(-1))
	}
	return fmt.Sprint([]any{m.Text, m.Word, m.Number, int64(*m.Duration), int64(m.Expire), m.Inner})
}

func (m *module) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return Module(d, map[string]Option{
		"text":     Text(&m.Text),
		"word":     Once(&m.Word, Word("one", "two", "three")),
		"number":   Once(&m.Number, Positive),
		"duration": Once(&m.Duration, Duration),
		"expire":   Once(&m.Expire, PositiveDuration),
	}, Embedded("mod", &m.embedded))
}

const all = "mod {\ntext a\nword two\nnumber 3\nduration 1d\nexpire 1ns\ninner b\n}"

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in, want, err string
	}{
		"none":                        {in: "mod", want: "[  0 -1 0 ]"},
		"all":                         {in: all, want: "[a two 3 86400000000000 1 b]"},
		"a duration of 0":             {in: "mod {\nduration 0\n}", want: "[  0 0 0 ]"},
		"an argument":                 {in: "mod a", err: "wrong argument count"},
		"an unknown option":           {in: "mod {\nother a\n}", err: `mod has no option "other"`},
		"a text twice":                {in: "mod {\ntext a\ntext a\n}", err: "text is given twice"},
		"a word twice":                {in: "mod {\nword one\nword two\n}", err: "word is given twice"},
		"a number twice":              {in: "mod {\nnumber 1\nnumber 1\n}", err: "number is given twice"},
		"a duration twice, once of 0": {in: "mod {\nduration 0\nduration 1s\n}", err: "duration is given twice"},
		"one that is embedded, twice": {in: "mod {\ninner a\ninner a\n}", err: "inner is given twice"},
		"no argument":                 {in: "mod {\nnumber\n}", err: "wrong argument count"},
		"two arguments":               {in: "mod {\nnumber 1 2\n}", err: "wrong argument count"},
		"no text":                     {in: "mod {\ntext\n}", err: "wrong argument count"},
		"an empty text":               {in: "mod {\ntext \"\"\n}", err: "wrong argument count"},
		"a wrong word":                {in: "mod {\nword four\n}", err: `word: "four" is not valid: use one, two or three, at`},
		"a number of 0":               {in: "mod {\nnumber 0\n}", err: `number: "0" is not a positive number, at`},
		"a word for a number":         {in: "mod {\nnumber many\n}", err: `number: "many" is not a positive number, at`},
		"a duration below 0":          {in: "mod {\nduration -1s\n}", err: `duration: "-1s" is not a duration such as 5s or 1d, at`},
		"a word for a duration":       {in: "mod {\nduration soon\n}", err: `duration: "soon" is not a duration such as 5s or 1d, at`},
		"an expiry of 0":              {in: "mod {\nexpire 0s\n}", err: `expire: "0s" is not a positive duration such as 5s or 1d, at`},
		"a word for an expiry":        {in: "mod {\nexpire soon\n}", err: `expire: "soon" is not a positive duration such as 5s or 1d, at`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m module
			err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.in))
			switch {
			case tt.err == "" && (err != nil || m.String() != tt.want):
				t.Errorf("%s, error %v; want %s", &m, err, tt.want)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}
