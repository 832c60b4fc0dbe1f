package repository_test

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const e2eFolder = "internal/test/e2e"

// e2eFiles returns the names of the files in internal/test/e2e.
func e2eFiles(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob(e2eFolder + "/*_test.go")
	if err != nil || len(files) < 100 {
		t.Fatalf("there are %d files: %v", len(files), err)
	}
	for _, file := range files {
		names = append(names, path.Base(file))
	}
	return names
}

func TestFilesOfTheE2ERigAreNamedSo(t *testing.T) {
	t.Parallel()
	atTop(t)
	test := regexp.MustCompile(`(?m)^func Test\w+\(t \*testing\.T\)`)
	for _, name := range e2eFiles(t) {
		switch has, rig := test.MatchString(read(t, e2eFolder+"/"+name)), strings.HasPrefix(name, "rig_"); {
		case has && rig:
			t.Errorf("%s has a test, but a name of the rig", name)
		case !has && !rig:
			t.Errorf("%s has no test, so its name must begin with rig_", name)
		}
	}
}

func TestTheE2ERigIsDescribed(t *testing.T) {
	t.Parallel()
	atTop(t)
	names := e2eFiles(t)
	patterns := regexp.MustCompile(`[a-z0-9_*]+_test\.go`).FindAllString(read(t, e2eFolder+"/doc.go"), -1)
	matches := func(name, pattern string) bool {
		ok, err := path.Match(pattern, name)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
		return ok
	}
	for _, pattern := range patterns {
		if !slices.ContainsFunc(names, func(name string) bool { return matches(name, pattern) }) {
			t.Errorf("doc.go has %s, which does not exist", pattern)
		}
	}
	for _, name := range names {
		if strings.HasPrefix(name, "rig_") && !slices.ContainsFunc(patterns, func(pattern string) bool { return matches(name, pattern) }) {
			t.Errorf("doc.go does not have %s", name)
		}
	}
}
