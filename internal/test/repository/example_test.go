package repository_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an author needs more than this, the kit ought to have.
func TestTheProviderOfTheExamplesHasAtMost120Lines(t *testing.T) {
	t.Parallel()
	atTop(t)
	files, err := filepath.Glob("examples/provider/*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(content, []byte("\n"))
	}
	if lines == 0 || lines > 120 {
		t.Errorf("it has %d lines", lines)
	}
}
