package sygnal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// FuzzAdapt checks that adapting always returns the same JSON, which Caddy can decode, or an error.
func FuzzAdapt(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no configurations: %v", err)
	}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, seed := range []string{
		"\xff\xfea\x00", "\xef\xbb\xbfapps: {}", "&a [*a, *a]", "? {a: b}\n: c", "<<: {<<: {apps: 1}}", "a: !!float .inf", "a: 0x_", "a: 0_",
		"apps: {\"\\uD800\": {type: apns}}", "proxy: 'http://%zz@h'", "http: {port: ' 80 '}", "- - - - -", "a: !", "a: !<tag:yaml.org,2002:str> 1",
	} {
		f.Add([]byte(seed))
	}
	adapter := caddyconfig.GetAdapter("sygnal")
	f.Fuzz(func(t *testing.T, body []byte) {
		adapted, warnings, err := adapter.Adapt(body, nil)
		if err != nil {
			if adapted != nil || err.Error() == "" {
				t.Errorf("with the error %q it is adapted to %s", err, adapted)
			}
			return
		}
		var config caddy.Config
		if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
			t.Errorf("%v in %s", err, adapted)
		}
		if config.AppsRaw["http"] == nil || config.AppsRaw["matrix_push"] == nil {
			t.Errorf("there is nothing in %s", adapted)
		}
		again, warnedAgain, err := adapter.Adapt(body, nil)
		if err != nil || !bytes.Equal(again, adapted) || len(warnedAgain) != len(warnings) {
			t.Errorf("once %s, and then %s, %v", adapted, again, err)
		}
		for _, w := range warnings {
			if w.Message == "" {
				t.Errorf("a warning says nothing: %v", w)
			}
		}
	})
}
