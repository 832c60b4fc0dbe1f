package network

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestAnOptionThatIsGivenTwiceOrToNobodyIsAnError(t *testing.T) {
	t.Parallel()
	for block, want := range map[string]string{
		"bell loud":                                   "wrong argument count",
		"bell {\nendpoint a\nendpoint b\n}":           "endpoint is given twice",
		"bell {\ntrusted_ca a\ntrusted_ca a\n}":       "trusted_ca is given twice",
		"bell {\nproxy none\nvolume 1\nproxy none\n}": "proxy is given twice",
		"bell {\nvolume 1\nvolume 2\n}":               "volume is given twice",
		"bell {\nvolume\n}":                           "wrong argument count",
		"bell {\nvolume \"\"\n}":                      "wrong argument count",
		"bell {\nvolume 1 2\n}":                       "wrong argument count",
		"bell {\nloudness 1\n}":                       `bell has no option "loudness"`,
	} {
		var volume string
		err := Unmarshal(caddyfile.NewTestDispenser(block), new(Options), map[string]*string{"volume": &volume})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", block, err)
		}
	}
}

func TestNoOptionsAreTheDefaults(t *testing.T) {
	t.Parallel()
	var none *Options
	s, err := none.Resolve()
	if err != nil || s.Endpoint != nil || s.Proxy == nil {
		t.Errorf("got %+v, %v", s, err)
	}
	if o := Failed(nil); o.Reason != "network" {
		t.Errorf("of no error, the outcome is %+v", o)
	}
}
