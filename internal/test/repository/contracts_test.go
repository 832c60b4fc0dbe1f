package repository_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// contracts are the packages that third parties implement, by their folders.
var contracts = []string{"providers", "rejected", "outbox"}

// Everyone who implements a contract builds what it imports. Imported types become part of their API.
func TestContractsImportTheStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	atTop(t)
	for _, contract := range contracts {
		files, err := filepath.Glob(filepath.Join(contract, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
		if len(files) == 0 {
			t.Errorf("%s has no files", contract)
		}
		var standard []string
		for _, file := range files {
			own, others := imports(t, file, read(t, file))
			standard = append(standard, own...)
			for _, other := range others {
				t.Errorf("%s imports %s: pass in what you need from it, or move the code that needs it to another package", file, other)
			}
		}
		slices.Sort(standard)
		t.Logf("%s imports %s", contract, strings.Join(slices.Compact(standard), ", "))
	}
}

// Other programs than the gateway can use the rules. Nothing of Caddy or of the gateway comes with them.
func TestPushRulesImportTheStandardLibraryAndTextOnly(t *testing.T) {
	t.Parallel()
	atTop(t)
	files, err := filepath.Glob("pushrules/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d files: %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		_, others := imports(t, file, read(t, file))
		for _, other := range others {
			if !strings.HasPrefix(other, "golang.org/x/text/") {
				t.Errorf("%s imports %s", file, other)
			}
		}
	}
}

// imports returns the imports of a source: those of the standard library, and all others.
func imports(t *testing.T, name, source string) (standard, others []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		// As cmd/go distinguishes them: every other module begins with a host name. C is not a package.
		if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") || first == "C" {
			others = append(others, imported)
		} else {
			standard = append(standard, imported)
		}
	}
	return standard, others
}

func TestAnImportOfAnotherModuleIsFound(t *testing.T) {
	t.Parallel()
	atTop(t)
	for spec, other := range map[string]bool{
		`"encoding/json"`: false, `"time"`: false, `j "encoding/json"`: false, `_ "crypto/sha256"`: false,
		`"github.com/go-json-experiment/json"`: true, `jsonv2 "github.com/go-json-experiment/json"`: true, `_ "golang.org/x/sys/unix"`: true,
		`. "github.com/matrix-push/caddy-matrix-push/internal/lenient"`: true, `"go.uber.org/zap"`: true, `"C"`: true, `"./internal"`: true,
	} {
		if standard, others := imports(t, "p.go", "package p\nimport "+spec); (len(others) == 1) != other || len(standard)+len(others) != 1 {
			t.Errorf("%s: got %q and %q", spec, standard, others)
		}
	}
}
