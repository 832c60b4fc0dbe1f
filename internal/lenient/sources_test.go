package lenient_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// otherJSON are the files that decode JSON in another way than with [lenient.Unmarshal], and whose JSON that is.
var otherJSON = map[string]string{
	"providers/notification.go":            "a request's body, by the standard library only: the gateway's FuzzMembers compares it",
	"providers/apns/answer.go":             "an answer of APNs",
	"providers/fcm/check.go":               "an answer of Google's token endpoint",
	"providers/fcm/failure.go":             "an answer of FCM",
	"providers/fcm/credentials.go":         "the operator's credentials",
	"providers/fcm/caddyfile.go":           "the operator's options",
	"caddymodule/internal/gateway/work.go": "an entry of the outbox, which the gateway wrote",
}

// Guards against the way encoding/json handles capitals. Data with "AUTH": 1 got a pusher deleted, "Endpoint" sent its
// pushes elsewhere, and a content with "Body": 1 lost its text.
func TestNobodyDecodesJSONOfHomeserversAndClientsInAnotherWay(t *testing.T) {
	t.Parallel()
	top := os.DirFS("../..")
	allowed, files := map[string]bool{}, 0
	for _, folder := range []string{"providers", "caddymodule/internal/gateway"} {
		err := fs.WalkDir(top, folder, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (strings.HasSuffix(d.Name(), "test") || d.Name() == "testdata"):
				return fs.SkipDir // only tests use it
			case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			files++
			source, err := fs.ReadFile(top, name)
			if err != nil {
				return err
			}
			found := decoders(t, name, source)
			if otherJSON[name] != "" {
				allowed[name] = len(found) > 0
				return nil
			}
			for _, call := range found {
				t.Errorf("%s: use lenient.Unmarshal, or add the file to otherJSON with the reason", call)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range otherJSON {
		if !allowed[name] {
			t.Errorf("%s decodes nothing any more: take it off otherJSON", name)
		}
	}
	if files < 60 {
		t.Errorf("only %d files were looked at", files)
	}
}

// decoders returns the places in a source that decode JSON with other options than [lenient.Options].
func decoders(t *testing.T, name string, source []byte) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]bool{}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if !strings.Contains(imported, "json") || strings.HasPrefix(imported, "github.com/matrix-push/") {
			continue
		}
		local := path.Base(imported)
		if imported == "encoding/json/v2" {
			local = "json"
		}
		if spec.Name != nil {
			local = spec.Name.Name
		}
		packages[local] = true
		if local == "." {
			found = append(found, fmt.Sprintf("%s imports all of %s", set.Position(spec.Pos()), imported))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && slices.ContainsFunc(call.Args, isOptions) {
			return false
		}
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from, ok := selector.X.(*ast.Ident)
		if ok && packages[from.Name] && (strings.HasPrefix(selector.Sel.Name, "Unmarshal") || strings.Contains(selector.Sel.Name, "Decode")) &&
			!slices.Contains(types, selector.Sel.Name) {
			found = append(found, fmt.Sprintf("%s: %s.%s", set.Position(selector.Pos()), from.Name, selector.Sel.Name))
		}
		return true
	})
	return found
}

// types are the types of such packages whose names look like those of functions.
var types = []string{"Decoder", "Unmarshaler", "UnmarshalTypeError"}

// isOptions reports whether an argument is lenient.Options.
func isOptions(e ast.Expr) bool {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && from.Name == "lenient" && selector.Sel.Name == "Options"
}

func TestAnotherWayToDecodeIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, imports, code string
		found               bool
	}{
		{"encoding/json", `"encoding/json"`, `_ = json.Unmarshal(b, &v)`, true},
		{"under another name", `j "encoding/json"`, `_ = j.Unmarshal(b, &v)`, true},
		{"a decoder", `"encoding/json"`, `_ = json.NewDecoder(r).Decode(&v)`, true},
		{"handed on as a function", `"encoding/json"`, `read := json.Unmarshal; _ = read(b, &v)`, true},
		{"the experiment", `jsonv2 "github.com/go-json-experiment/json"`, `_ = jsonv2.Unmarshal(b, &v)`, true},
		{"the experiment with other options", `jsonv2 "github.com/go-json-experiment/json"`, `_ = jsonv2.Unmarshal(b, &v, options)`, true},
		{"version 2", `"encoding/json/v2"`, `_ = json.UnmarshalRead(r, &v)`, true},
		{"tokens", `"github.com/go-json-experiment/json/jsontext"`, `_ = jsontext.NewDecoder(r)`, true},
		{"another's package", `"github.com/someone/fastjson"`, `_ = fastjson.Unmarshal(b, &v)`, true},
		{"imported without a name", `. "encoding/json"`, `_ = Unmarshal(b, &v)`, true},
		{"the experiment with our options", `jsonv2 "github.com/go-json-experiment/json"`, `_ = jsonv2.Unmarshal(b, &v, lenient.Options)`, false},
		{"our way", `"encoding/json"`, `_ = lenient.Unmarshal(b, &v)`, false},
		{"encoding", `"encoding/json"`, `_, _ = json.Marshal(v)`, false},
		{"a type", `"encoding/json"`, `var _ json.RawMessage`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			source := "package p\nimport " + test.imports + "\nfunc f() {" + test.code + "}"
			if found := decoders(t, "p.go", []byte(source)); (len(found) > 0) != test.found {
				t.Errorf("found %q", found)
			}
		})
	}
}
