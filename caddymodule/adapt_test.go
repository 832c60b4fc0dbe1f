package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/matrix-push/caddy-matrix-push"
)

var update = flag.Bool("update", false, "rewrite what the golden files in testdata expect")

const rule = "\n----------\n"

// TestCaddyfileAdapts runs the files in testdata/adapt. Each has a Caddyfile, a separator, and the adapted JSON or a part of the error.
func TestCaddyfileAdapts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/adapt/*.caddytest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddytest"), func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			caddyfile, want, _ := strings.Cut(string(golden), rule)
			got, refused := adapt(t, caddyfile)
			if *update {
				if err := os.WriteFile(file, []byte(strings.TrimRight(caddyfile, "\n")+"\n"+rule[1:]+got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want = strings.TrimSpace(want)
			switch wantsJSON := strings.HasPrefix(want, "{"); {
			case want == "":
				t.Fatal("the file expects nothing; run the test with -update")
			case wantsJSON && refused:
				t.Errorf("it is refused: %s", got)
			case wantsJSON && got != want:
				t.Errorf("got\n%s\nwant\n%s", got, want)
			case !wantsJSON && !refused:
				t.Errorf("it is adapted to\n%s\nwant the error %q", got, want)
			case !wantsJSON && !strings.Contains(got, want):
				t.Errorf("got the error\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// testModules matches the modules of this package's tests in a list in an error.
var testModules = regexp.MustCompile(`\btest_[a-z]+, `)

// adapt adapts a Caddyfile. It returns the JSON, indented with tabs, or the error.
func adapt(t *testing.T, caddyfile string) (got string, refused bool) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return testModules.ReplaceAllString(err.Error(), ""), true
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String(), false
}
