package repository_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

const acceptancePage = "docs/acceptance.md"

var (
	acceptanceRow = regexp.MustCompile(`(?m)^\| ([A-Z]\d\d) \| [^|]+ \| [^|]+ \| ([^|]+) \|$`)
	// acceptanceTest matches the name of a test that begins with an id. acceptanceID matches an id with one of the page's letters.
	acceptanceTest = regexp.MustCompile(`^Test([A-Z]\d\d)_`)
	acceptanceID   = regexp.MustCompile(`\b(?:Test)?([ADFIMPQRSUVWX]\d\d)(?:\b|_)`)
	quotedTest     = regexp.MustCompile("`(Test\\w+)`")
)

// acceptance returns the tests of each id on the page.
func acceptance(t *testing.T) map[string][]string {
	t.Helper()
	ids := make(map[string][]string)
	for _, row := range acceptanceRow.FindAllStringSubmatch(read(t, acceptancePage), -1) {
		if ids[row[1]] != nil {
			t.Errorf("%s has two rows of %s", acceptancePage, row[1])
		}
		for _, m := range quotedTest.FindAllStringSubmatch(row[2], -1) {
			ids[row[1]] = append(ids[row[1]], m[1])
		}
		if ids[row[1]] == nil {
			t.Errorf("%s names no test of %s", acceptancePage, row[1])
		}
	}
	if len(ids) < 80 {
		t.Errorf("%s has only %d ids", acceptancePage, len(ids))
	}
	return ids
}

func TestEveryAcceptanceIDHasItsTests(t *testing.T) {
	t.Parallel()
	atTop(t)
	tests := testNames(t)
	for id, named := range acceptance(t) {
		for _, name := range named {
			if !tests[name] {
				t.Errorf("%s names %s for %s, but there is no such test", acceptancePage, name, id)
			}
			if m := acceptanceTest.FindStringSubmatch(name); m != nil && m[1] != id {
				t.Errorf("%s names %s for %s", acceptancePage, name, id)
			}
		}
	}
}

func TestEveryTestOfAnAcceptanceIDIsOnThePage(t *testing.T) {
	t.Parallel()
	atTop(t)
	ids := acceptance(t)
	for name := range testNames(t) {
		if m := acceptanceTest.FindStringSubmatch(name); m != nil && !slices.Contains(ids[m[1]], name) {
			t.Errorf("%s does not name %s for %s", acceptancePage, name, m[1])
		}
	}
}

func TestEveryAcceptanceIDInTheDocumentationExists(t *testing.T) {
	t.Parallel()
	atTop(t)
	ids, texts := acceptance(t), pages(t)
	files, err := filepath.Glob("docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "CONTRIBUTING.md") {
		texts[file] = read(t, file)
	}
	for file, text := range texts {
		for _, m := range acceptanceID.FindAllStringSubmatch(text, -1) {
			if ids[m[1]] == nil {
				t.Errorf("%s has the id %s, which is not on %s", file, m[1], acceptancePage)
			}
		}
	}
}
