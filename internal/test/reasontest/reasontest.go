// Package reasontest checks that each reason that the code can give is explained and documented.
package reasontest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Found are the reasons in source code.
type Found struct {
	// Words are reasons, and Prefixes those of which only the beginning is in the source, such as http_.
	Words, Prefixes []string
}

// constructors are the functions of package providers that take a reason.
var constructors = []string{
	"Rejected", "Unusable", "Retry", "Unreachable", "Limited", "Busy", "Suspected", "Dropped", "Blocked", "Misconfigured",
}

// others are the types that have a field Reason for something else than the reason of an outcome.
var others = []string{"Error", "Degradation"}

// In returns the reasons in the source of packages, which are given by their folders.
func In(t *testing.T, folders ...string) Found {
	t.Helper()
	s := scanner{constants: make(map[string]string)}
	var files []*ast.File
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s has no source: %v", folder, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	for _, file := range files {
		ast.Inspect(file, s.constant)
	}
	for _, file := range files {
		ast.Inspect(file, s.reason)
	}
	slices.Sort(s.found.Words)
	slices.Sort(s.found.Prefixes)
	return Found{slices.Compact(s.found.Words), slices.Compact(s.found.Prefixes)}
}

// scanner collects reasons.
type scanner struct {
	constants map[string]string
	found     Found
}

// constant notes the strings that constants stand for.
func (s *scanner) constant(n ast.Node) bool {
	spec, ok := n.(*ast.ValueSpec)
	if !ok {
		return true
	}
	for i, name := range spec.Names {
		if i < len(spec.Values) {
			if text, ok := literal(spec.Values[i]); ok {
				s.constants[name.Name] = text
			}
		}
	}
	return true
}

// reason notes the reasons in a node.
func (s *scanner) reason(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if ok && slices.Contains(constructors, f.Sel.Name) && is(f.X, "providers") && len(n.Args) > 0 {
			s.value(n.Args[0])
		}
	case *ast.CompositeLit:
		if of, ok := n.Type.(*ast.Ident); ok && slices.Contains(others, of.Name) {
			return true
		}
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok && isReason(kv.Key) {
				s.value(kv.Value)
			}
		}
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			if f, ok := to.(*ast.SelectorExpr); ok && f.Sel.Name == "Reason" && is(f.X, "o") && i < len(n.Rhs) { // outcomes are named o
				s.value(n.Rhs[i])
			}
		}
	}
	return true
}

// is reports whether an expression is a name.
func is(e ast.Expr, name string) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == name
}

func isReason(key ast.Expr) bool {
	name, ok := key.(*ast.Ident)
	return ok && (name.Name == "Reason" || name.Name == "reason")
}

// value notes the reason that an expression stands for.
func (s *scanner) value(e ast.Expr) {
	if sum, ok := e.(*ast.BinaryExpr); ok {
		if text, ok := s.text(sum.X); ok {
			s.found.Prefixes = append(s.found.Prefixes, text)
		}
		return
	}
	if text, ok := s.text(e); ok {
		s.found.Words = append(s.found.Words, text)
	}
}

// text returns the string that an expression stands for: a literal, or a constant.
func (s *scanner) text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return literal(e)
	case *ast.Ident:
		text, ok := s.constants[e.Name]
		return text, ok
	case *ast.SelectorExpr:
		text, ok := s.constants[e.Sel.Name]
		return text, ok
	}
	return "", false
}

func literal(e ast.Expr) (string, bool) {
	basic, ok := e.(*ast.BasicLit)
	if !ok || basic.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(basic.Value)
	return text, err == nil
}

// maxWords is how many words an explanation may have.
const maxWords = 25

// Explained checks that each reason has an explanation in the form that the operator sees.
func Explained(t *testing.T, explain func(string) string, words ...string) {
	t.Helper()
	for _, word := range words {
		switch means := explain(word); {
		case means == "":
			t.Errorf("%s has no explanation", word)
		case len(strings.Fields(means)) > maxWords:
			t.Errorf("%s: the explanation has %d words, and %d are allowed: %s", word, len(strings.Fields(means)), maxWords, means)
		case strings.HasSuffix(means, "."), strings.Contains(means, "\n"):
			t.Errorf("%s: the explanation ends with a full stop, or has several lines: %s", word, means)
		}
	}
}

var quoted = regexp.MustCompile("`([a-z0-9_]+)`")

// OnPage returns the reasons in the first column of the tables in a section of a page.
func OnPage(t *testing.T, page, section string) (words []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n"+section+"\n")
	if !ok {
		t.Fatalf("%s has no section %s", page, section)
	}
	level, _, _ := strings.Cut(section, " ")
	rest, _, _ = strings.Cut(rest, "\n"+level+" ")
	for line := range strings.Lines(rest) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, word := range quoted.FindAllStringSubmatch(cells[1], -1) {
				words = append(words, word[1])
			}
		}
	}
	if len(words) == 0 {
		t.Fatalf("%s has no reasons in the section %s", page, section)
	}
	return words
}

// Documented checks that each reason is on a page.
func Documented(t *testing.T, onPage []string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !slices.Contains(onPage, word) {
			t.Errorf("%s is not on the page", word)
		}
	}
}
