package doctor

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of codes into the page")

const page = "../../../docs/doctor.md"

// rowOfCode matches a row of the page's table of codes.
var rowOfCode = regexp.MustCompile("(?m)^\\| `[a-z0-9_]+` \\| (?:problem|note) \\| .* \\|\n")

// placeholder matches a placeholder of a text.
var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// rows are the rows of all codes, problems first.
func rows() string {
	var b strings.Builder
	for _, severity := range []Severity{Problem, Note} {
		for _, code := range slices.Sorted(maps.Keys(codes)) {
			if c := codes[code]; c.Severity == severity {
				text := placeholder.ReplaceAllString(c.Text+" | "+c.Action, "*$1*")
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", code, severity, strings.NewReplacer("*which*", "…", "'*app*'", "…", "*group*", "").Replace(text))
			}
		}
	}
	return b.String()
}

func TestThePageHasARowForEachCode(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	got := strings.Join(rowOfCode.FindAllString(text, -1), "")
	if got == rows() {
		return
	}
	if !*update {
		t.Errorf("%s has the rows\n%s\nwant\n%s", page, got, rows())
		return
	}
	const head = "| code | severity | what was found | what to do |\n|---|---|---|---|\n"
	before, after, ok := strings.Cut(text, head)
	if !ok {
		t.Fatalf("%s has no table of codes", page)
	}
	after = rowOfCode.ReplaceAllString(after, "")
	if err := os.WriteFile(page, []byte(before+head+rows()+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheTextsOfCodesAreSentences(t *testing.T) {
	t.Parallel()
	for code, c := range codes {
		if c.Severity != Problem && c.Severity != Note {
			t.Errorf("%s has the severity %q", code, c.Severity)
		}
		if c.Text == "" || !strings.HasSuffix(c.Text, ".") && !strings.HasSuffix(c.Text, "}") {
			t.Errorf("%s: %q is not a sentence", code, c.Text)
		}
		if c.Action == "" || strings.Contains(c.Action, "|") || strings.Contains(c.Text, "|") {
			t.Errorf("%s: %q", code, c.Action)
		}
	}
}
