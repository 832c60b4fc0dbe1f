package prose

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// Text is an English text in a Go file.
type Text struct {
	Line int
	Text string
}

// Go returns the texts of a Go file that people read: its comments, and its strings of at least three words, such as log messages, errors and
// help texts.
func Go(name string, source []byte) ([]Text, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var texts []Text
	for _, group := range parsed.Comments {
		if text := group.Text(); text != "" { // it has no directives
			texts = append(texts, Text{files.Position(group.Pos()).Line, unquoted(text)})
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Field:
			if f, ok := n.(*ast.Field); ok && f.Tag != nil {
				f.Tag = nil // a tag is not prose
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && strings.Count(text, " ") >= 2 {
				texts = append(texts, Text{files.Position(n.Pos()).Line, unquoted(text)})
			}
		}
		return true
	})
	return texts, nil
}

// unquoted returns a text without quotations and code.
func unquoted(text string) string {
	var out strings.Builder
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "\t") {
			line = "" // an indented block is code
		}
		out.WriteString(quoted.ReplaceAllString(line, "…"))
		out.WriteByte('\n')
	}
	return out.String()
}
