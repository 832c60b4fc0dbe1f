package sygnal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/matrix-push/caddy-matrix-push/caddymodule/sygnal"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// files returns the configurations in testdata by name, either the refused ones or the others.
func files(t *testing.T, refused bool) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]byte)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if strings.HasPrefix(name, "err_") == refused {
			found[name] = read(t, path)
		}
	}
	if len(found) == 0 {
		t.Fatal("no golden files")
	}
	return found
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// adapt does what `caddy adapt --pretty` does.
func adapt(body []byte) (adapted, warnings string, err error) {
	raw, warned, err := caddyconfig.GetAdapter("sygnal").Adapt(body, map[string]any{"filename": "sygnal.yaml"})
	if err != nil {
		return "", "", err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, raw, "", "\t"); err != nil {
		return "", "", err
	}
	var text strings.Builder
	for _, w := range warned {
		fmt.Fprintf(&text, "%s:%d: %s: %s\n", w.File, w.Line, w.Directive, w.Message)
	}
	return pretty.String() + "\n", text.String(), nil
}

// TestConfigurationsAreAdapted compares with <name>.json and <name>.warnings.
func TestConfigurationsAreAdapted(t *testing.T) {
	t.Parallel()
	for name, body := range files(t, false) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			adapted, warnings, err := adapt(body)
			if err != nil {
				t.Fatal(err)
			}
			wantGolden(t, name+".json", adapted)
			wantGolden(t, name+".warnings", warnings)
		})
	}
}

// TestWhatSygnalOrThisGatewayCannotServeIsAnError compares with <name>.error.
func TestWhatSygnalOrThisGatewayCannotServeIsAnError(t *testing.T) {
	t.Parallel()
	for name, body := range files(t, true) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			adapted, _, err := adapt(body)
			if err == nil {
				t.Fatalf("it is adapted to\n%s", adapted)
			}
			wantGolden(t, name+".error", err.Error()+"\n")
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := string(read(t, path)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEveryGoldenFileHasItsConfiguration(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if _, err := os.Stat(strings.TrimSuffix(path, filepath.Ext(path)) + ".yaml"); errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left over", path)
		}
	}
}
