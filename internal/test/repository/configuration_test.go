package repository_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/test/reference"
)

var update = flag.Bool("update", false, "write what is generated from the code")

const (
	referencePage = "docs/configuration.md"
	generated     = "<!-- What follows is generated from the code: go test ./internal/test/repository -run Reference -update -->\n\n"
)

// referenceOf returns the reference that belongs to the code, and the code.
func referenceOf(t *testing.T) (text string, source *reference.Source) {
	t.Helper()
	source, err := reference.Parse(".")
	if err != nil {
		t.Fatal(err)
	}
	text, err = reference.Write(reference.Modules(), source)
	if err != nil {
		t.Fatal(err)
	}
	return text, source
}

func TestTheConfigurationReferenceIsThatOfTheCode(t *testing.T) {
	t.Parallel()
	atTop(t)
	want, _ := referenceOf(t)
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	written, got, found := strings.Cut(string(page), generated)
	if !found {
		t.Fatalf("%s has no generated part", referencePage)
	}
	if *update {
		if err := os.WriteFile(referencePage, []byte(written+generated+want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s does not match the code: run go test ./internal/test/repository -run Reference -update", referencePage)
	}
}

// syntaxBlock matches a block of Caddyfile syntax in the reference.
var syntaxBlock = regexp.MustCompile("(?s)```text\n(.*?)```")

// It reads the reference that belongs to the code, and not the page, which may just be written.
func TestEveryCaddyfileOptionIsInTheReferenceAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	atTop(t)
	text, source := referenceOf(t)
	parsed := source.Options()
	var documented []string
	for _, block := range syntaxBlock.FindAllStringSubmatch(text, -1) {
		documented = append(documented, regexp.MustCompile(`[a-z0-9_]+`).FindAllString(regexp.MustCompile(`<[^>]*>|#.*`).ReplaceAllString(block[1], ""), -1)...)
	}
	for _, option := range parsed {
		if !slices.Contains(documented, option) {
			t.Errorf("the option %q is not in %s", option, referencePage)
		}
	}
	// A word is an option, one of an option's values, or the name of a module.
	values := []string{
		"refuse", "trusted_proxy", "allow", "event_id_only", "full", "on", "with_events", "production", "sandbox", "room", "event", "none", "token", "fid",
		"tls", "push", "low", "drop", "wake", "tigase", "messenger", "1",
	}
	for _, word := range documented {
		known := slices.Contains(parsed, word) || slices.Contains(values, word) || word == "matrix_push" || word == "xmpp_push"
		for _, m := range reference.Modules() {
			known = known || m.ID.Name() == word
		}
		if !known {
			t.Errorf("%s has %q, which no parser knows", referencePage, word)
		}
	}
	if len(parsed) < 30 || len(caddy.Modules()) == 0 {
		t.Errorf("there are only %d options: %q", len(parsed), parsed)
	}
}

// Whoever adds an option runs this command, which must not look as if it failed.
func TestTheCommandThatUpdatesTheConfigurationPageEndsWell(t *testing.T) {
	t.Parallel()
	atTop(t)
	page := read(t, referencePage)
	written, _, _ := strings.Cut(page, generated)
	top := t.TempDir()
	copyTo := func(name, content string) {
		t.Helper()
		name = filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (filepath.Ext(path) == ".go" || d.Name() == "go.mod") {
			copyTo(path, read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	copyTo(referencePage, written+generated) // a page without any option
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), program, "-test.run", "Reference", "-update")
	run.Dir = filepath.Join(top, "internal/test/repository")
	if output, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	if got := read(t, filepath.Join(top, referencePage)); got != page {
		t.Errorf("%s was not updated", referencePage)
	}
}
