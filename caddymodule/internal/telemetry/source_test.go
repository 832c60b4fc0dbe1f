package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parsed returns the source files in and below some folders, without tests and test helpers.
func parsed(t *testing.T, folders ...string) (files []*ast.File) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (strings.HasSuffix(path, "test") || d.Name() == "e2e" || d.Name() == "checker"):
				return fs.SkipDir
			case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			files = append(files, file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// said returns the string literals that functions with these names get as their first argument, by function.
func said(files []*ast.File, names ...string) map[string][]string {
	found := make(map[string][]string)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			var name string
			switch f := call.Fun.(type) {
			case *ast.SelectorExpr:
				name = f.Sel.Name
			case *ast.Ident:
				name = f.Name
			}
			if text, ok := literal(call.Args[0]); ok && slices.Contains(names, name) {
				found[name] = append(found[name], text)
			}
			return true
		})
	}
	return found
}

// literal returns the value of a string literal, possibly joined from parts.
func literal(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, ok := literal(e.X)
		right, ok2 := literal(e.Y)
		return left + right, ok && ok2 && e.Op == token.ADD
	default:
		return "", false
	}
}

// typedConstants returns the values of the string constants of some types, by name.
func typedConstants(files []*ast.File, types ...string) map[string]string {
	values := make(map[string]string)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); ok && slices.Contains(types, of.Name) {
				values[spec.Names[0].Name], _ = literal(spec.Values[0])
			}
			return true
		})
	}
	return values
}

// constants returns the values of the string constants whose names have a prefix.
func constants(files []*ast.File, prefix string) (values []string) {
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if strings.HasPrefix(name.Name, prefix) && i < len(spec.Values) {
					if text, ok := literal(spec.Values[i]); ok {
						values = append(values, text)
					}
				}
			}
			return true
		})
	}
	return values
}
