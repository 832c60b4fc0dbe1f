package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// modulePath is the path of this Go module.
const modulePath = "github.com/matrix-push/caddy-matrix-push"

// Source is the code of this Go module, without its tests.
type Source struct {
	types   map[string]typeDoc           // by package path, a dot, and name
	methods map[string]*ast.CommentGroup // by the type's key, a dot, and the method's name
	files   []*ast.File
}

type typeDoc struct {
	doc    *ast.CommentGroup
	fields map[string]*ast.CommentGroup // by name; an embedded field by the name of its type
}

// Parse reads the code in the module's folder, without nested modules.
func Parse(root string) (*Source, error) {
	s := &Source{types: make(map[string]typeDoc), methods: make(map[string]*ast.CommentGroup)}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && isModule(path) {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		s.add(modulePath+"/"+filepath.ToSlash(folder), file)
		return nil
	})
	return s, err
}

// isModule reports whether a folder is a separate Go module.
func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

func (s *Source) add(pkg string, file *ast.File) {
	s.files = append(s.files, file)
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil {
				s.methods[pkg+"."+receiver(d)+"."+d.Name.Name] = d.Doc
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok {
					s.types[pkg+"."+t.Name.Name] = newTypeDoc(d, t)
				}
			}
		}
	}
}

func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	if pointer, ok := t.(*ast.StarExpr); ok {
		t = pointer.X
	}
	if name, ok := t.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

func newTypeDoc(d *ast.GenDecl, t *ast.TypeSpec) typeDoc {
	doc := typeDoc{doc: t.Doc, fields: make(map[string]*ast.CommentGroup)}
	if doc.doc == nil {
		doc.doc = d.Doc
	}
	if st, ok := t.Type.(*ast.StructType); ok {
		for _, f := range st.Fields.List {
			for _, name := range f.Names {
				doc.fields[name.Name] = f.Doc
			}
		}
	}
	return doc
}

func key(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }

// Type returns a type's doc comment.
func (s *Source) Type(t reflect.Type) (string, error) {
	doc := s.types[key(t)].doc
	if doc == nil {
		return "", fmt.Errorf("type %s has no doc comment", t)
	}
	return doc.Text(), nil
}

// Syntax returns the Caddyfile syntax in the doc comment of the type's UnmarshalCaddyfile. It is empty if there is none.
func (s *Source) Syntax(t reflect.Type) string {
	doc := s.methods[key(t)+".UnmarshalCaddyfile"]
	if doc == nil {
		return ""
	}
	var syntax strings.Builder
	for line := range strings.Lines(doc.Text()) {
		if code, ok := strings.CutPrefix(line, "\t"); ok {
			syntax.WriteString(code)
		}
	}
	return syntax.String()
}

type field struct {
	name string // in JSON
	typ  reflect.Type
	doc  string
}

// fields returns the fields that a configuration may set: first the type's direct fields, then the embedded ones.
func (s *Source) fields(t reflect.Type) (own []field, err error) {
	var embedded []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			more, err := s.fields(f.Type)
			if err != nil {
				return nil, err
			}
			embedded = append(embedded, more...)
		case !f.IsExported() || name == "" || name == "-":
		default:
			doc := s.types[key(t)].fields[f.Name]
			if doc == nil {
				return nil, fmt.Errorf("field %s of %s has no doc comment", f.Name, t)
			}
			own = append(own, field{name, f.Type, doc.Text()})
		}
	}
	return append(own, embedded...), nil
}

// Options returns the words that the Caddyfile parsers know. In each function that reads from a dispenser, these are the cases of a switch, the
// keys of a map, and the operands of == and !=.
func (s *Source) Options() []string {
	words := make(map[string]bool)
	note := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if word, err := strconv.Unquote(lit.Value); err == nil && word != "" {
				words[word] = true
			}
		}
	}
	for _, file := range s.files {
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || !reads(fn) {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CaseClause:
					for _, e := range n.List {
						note(e)
					}
				case *ast.KeyValueExpr:
					note(n.Key)
				case *ast.BinaryExpr:
					if n.Op == token.EQL || n.Op == token.NEQ {
						note(n.X)
						note(n.Y)
					}
				}
				return true
			})
		}
	}
	return slices.Sorted(maps.Keys(words))
}

// reads reports whether a function reads from a dispenser, or returns a function that does.
func reads(fn *ast.FuncDecl) (found bool) {
	ast.Inspect(fn.Type, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			found = found || sel.Sel.Name == "Dispenser" || sel.Sel.Name == "Option"
		}
		return true
	})
	return found
}
