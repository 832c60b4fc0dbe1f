package repository_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/licensecheck"
)

// compatible has the licences that parts of a program under Apache-2.0 may have. The Mozilla Public License applies only to its own files.
// OFL-1.1 applies only to a font, which may be distributed with any program.
var compatible = []string{
	"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "OFL-1.1", "Unlicense", "Zlib",
}

// module has the output of `go list` for a module.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// modulesOf returns the modules that the packages of the module in a folder need.
func modulesOf(t *testing.T, dir string, packages ...string) (modules []module) {
	t.Helper()
	_ = read(t, filepath.Join(dir, "go.mod")) // makes cached test results depend on it
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-test", "-json=Module"}, packages...)...)
	list.Dir = dir
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ Module *module }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return modules
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module != nil && !p.Module.Main && !slices.Contains(modules, *p.Module) {
			modules = append(modules, *p.Module)
		}
	}
}

func TestEachModuleThatIsNeededHasACompatibleLicence(t *testing.T) {
	t.Parallel()
	atTop(t)
	modules := slices.Concat(modulesOf(t, ".", "./...", "tool"), modulesOf(t, "examples/provider", "./..."))
	if len(modules) < 150 {
		t.Fatalf("there are only %d modules", len(modules))
	}
	for _, m := range modules {
		if m.Dir, _ = filepath.Abs(m.Dir); m.Dir == top(t) { // the module that the example's go.mod replaces
			continue
		}
		if wrong := incompatible(t, m.Dir); wrong != "" {
			t.Errorf("%s %s: %s", m.Path, m.Version, wrong)
		}
	}
}

func top(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// incompatible returns what is wrong with the licence in a module's folder; empty if nothing is.
func incompatible(t *testing.T, dir string) string {
	t.Helper()
	var ids []string
	for _, pattern := range []string{"LICEN[SC]E*", "licen[sc]e*", "Licen[sc]e*", "COPYING*", "UNLICENSE*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // a folder, not a file
			}
			for _, match := range licensecheck.Scan(text).Match {
				ids = append(ids, match.ID)
			}
		}
	}
	switch bad := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(compatible, id) }); {
	case len(ids) == 0:
		return "it has no licence that is known"
	case len(bad) > 0:
		return "it is under " + strings.Join(bad, ", ")
	}
	return ""
}

func TestALicenceThatIsNotCompatibleIsFound(t *testing.T) {
	t.Parallel()
	atTop(t)
	none, copyleft := t.TempDir(), t.TempDir()
	const gpl = "This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as " +
		"published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version."
	if err := os.WriteFile(filepath.Join(copyleft, "COPYING"), []byte(gpl), 0o600); err != nil {
		t.Fatal(err)
	}
	both := t.TempDir() // one part has another licence than the rest
	for name, text := range map[string]string{"LICENSE": read(t, "LICENSE"), "COPYING": gpl} {
		if err := os.WriteFile(filepath.Join(both, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{none, copyleft, both} {
		if incompatible(t, dir) == "" {
			t.Errorf("found nothing wrong with %s", dir)
		}
	}
}

func TestTheLicenceIsApache2(t *testing.T) {
	t.Parallel()
	atTop(t)
	text := read(t, "LICENSE")
	if found := licensecheck.Scan([]byte(text)); len(found.Match) != 1 || found.Match[0].ID != "Apache-2.0" || found.Percent < 95 {
		t.Errorf("it is %+v", found)
	}
	if !strings.Contains(text, "\n   Copyright 2026 The caddy-matrix-push authors\n") {
		t.Error("it does not say whose it is")
	}
	for file, line := range map[string]string{
		"README.md":                        "[Apache-2.0](LICENSE)",
		"CONTRIBUTING.md":                  "[Apache-2.0](LICENSE)",
		"examples/container/Containerfile": `org.opencontainers.image.licenses="Apache-2.0"`,
	} {
		if !strings.Contains(read(t, file), line) {
			t.Errorf("%s does not say %s", file, line)
		}
	}
}
