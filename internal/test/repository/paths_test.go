package repository_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// folderNamed matches a folder of the repository in a command, such as ./internal/test/e2e, and in `grep -v -e /internal/test/e2e`.
var folderNamed = regexp.MustCompile(`(?:[\s(=]\./|-e /)((?:caddymodule|examples|internal|outbox|providers|rejected)[\w/-]*)`)

// A filter or a command with the old name of a moved folder fails silently.
func TestFoldersInCommandsExist(t *testing.T) {
	t.Parallel()
	atTop(t)
	var files []string
	for _, pattern := range []string{"Makefile", ".ci/*", ".github/workflows/*", "*.md", "docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	named := 0
	for _, file := range slices.Compact(files) {
		for _, m := range folderNamed.FindAllStringSubmatch(read(t, file), -1) {
			named++
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s names ./%s, which does not exist", file, m[1])
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d folders are named: the pattern finds too few", named)
	}
}
