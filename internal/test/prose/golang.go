package prose

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// Text is a piece of English in a Go file.
type Text struct {
	Line int
	Text string
}

// Go returns what a person reads of a Go file: its comments, and its strings of three words and more. Those are messages of the log, errors, help.
func Go(name string, source []byte) ([]Text, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var texts []Text
	for _, group := range parsed.Comments {
		texts = append(texts, Text{files.Position(group.Pos()).Line, unquoted(group.Text())}) // without directives
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Field:
			if f, ok := n.(*ast.Field); ok && f.Tag != nil {
				f.Tag = nil // it is no prose
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

// unquoted is a text without what others wrote: what stands in quotation marks, and code.
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
