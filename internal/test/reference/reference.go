// Package reference generates the reference of the configuration from the code: from the types of the modules, their JSON tags, and their doc
// comments.
package reference

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Modules returns the gateway's modules, sorted by ID, with the handler and the app first.
func Modules() []caddy.ModuleInfo {
	var mine []caddy.ModuleInfo
	for _, id := range caddy.Modules() {
		parts := strings.Split(id, ".")
		ours := slices.Contains(parts, "matrix_push") || slices.Contains(parts, "xmpp_push")
		if ours && !strings.HasPrefix(id, "admin.") {
			info, err := caddy.GetModule(id)
			if err != nil {
				panic(err) // cannot happen, because it is in the list
			}
			mine = append(mine, info)
		}
	}
	rank := func(m caddy.ModuleInfo) int { return strings.Count(string(m.ID), ".") % 2 * len(m.ID) }
	slices.SortFunc(mine, func(a, b caddy.ModuleInfo) int {
		return cmp.Or(cmp.Compare(rank(a)&^0xff, rank(b)&^0xff), strings.Compare(string(a.ID), string(b.ID)))
	})
	return mine
}

// Write writes the reference of the modules.
func Write(modules []caddy.ModuleInfo, source *Source) (string, error) {
	var w strings.Builder
	for _, m := range modules {
		t := reflect.TypeOf(m.New()).Elem()
		if err := writeModule(&w, string(m.ID), t, source); err != nil {
			return "", fmt.Errorf("%s: %w", m.ID, err)
		}
	}
	return w.String(), nil
}

func writeModule(w *strings.Builder, id string, t reflect.Type, source *Source) error {
	doc, err := source.Type(t)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "## `%s`\n\n%s\n\n", id, paragraphs(named("This module", t, doc)))
	if syntax := source.Syntax(t); syntax != "" {
		fmt.Fprintf(w, "```text\n%s```\n\n", syntax)
	}
	return writeFields(w, t, source, make(map[reflect.Type]bool))
}

// writeFields writes the table of a type's fields, and then the tables of the types in it.
func writeFields(w *strings.Builder, t reflect.Type, source *Source, written map[reflect.Type]bool) error {
	fields, err := source.fields(t)
	if err != nil {
		return err
	}
	written[t] = true
	if len(fields) == 0 {
		w.WriteString("It has no options.\n\n")
		return nil
	}
	w.WriteString("| JSON | type | |\n|---|---|---|\n")
	for _, f := range fields {
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", f.name, typeName(f.typ), strings.ReplaceAll(strings.Join(strings.Fields(f.doc), " "), "|", `\|`))
	}
	w.WriteString("\n")
	for _, f := range fields {
		inner := structOf(f.typ)
		if inner == nil || written[inner] {
			continue
		}
		doc, err := source.Type(inner)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "### %s`%s`\n\n%s\n\n", many(f.typ), f.name, paragraphs(named("This object", inner, doc)))
		if err := writeFields(w, inner, source, written); err != nil {
			return err
		}
	}
	return nil
}

// named returns a type's doc comment with another subject than the type's name in Go, which no operator knows.
func named(subject string, t reflect.Type, doc string) string {
	if rest, found := strings.CutPrefix(doc, t.Name()+" "); found {
		return subject + " " + rest
	}
	return doc
}

// many returns the text before the name of a field that holds several values.
func many(t reflect.Type) string {
	if t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
		return "Each of "
	}
	return ""
}

// structOf returns the struct of this module that a field holds, or nil.
func structOf(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && strings.HasPrefix(t.PkgPath(), modulePath) {
		return t
	}
	return nil
}

// typeName returns the JSON type of a field.
func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[caddy.Duration]():
		return "duration"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8: // json.RawMessage
		return "object"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem()) + "s"
	case t.Kind() == reflect.Map:
		return "object of " + typeName(t.Elem()) + "s"
	case t.Kind() == reflect.Struct:
		return "object"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.String:
		return "string"
	default:
		return "number"
	}
}

// paragraphs returns a doc comment as Markdown. It joins the lines of a paragraph, and turns indented lines into code.
func paragraphs(doc string) string {
	var list []string
	for p := range strings.SplitSeq(strings.TrimSpace(doc), "\n\n") {
		if strings.HasPrefix(p, "\t") {
			list = append(list, "```\n"+strings.TrimPrefix(strings.ReplaceAll(p, "\n\t", "\n"), "\t")+"\n```")
		} else {
			list = append(list, strings.Join(strings.Fields(p), " "))
		}
	}
	return strings.Join(list, "\n\n")
}
