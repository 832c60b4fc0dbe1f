package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

var (
	//go:embed templates
	templates embed.FS
	//go:embed static
	static embed.FS
)

// file is a file that the page loads.
type file struct {
	kind    string
	content []byte
}

// files are the files by path.
var files = map[string]file{
	"/style.css": load("style.css", "text/css; charset=utf-8"),
	"/script.js": load("script.js", "text/javascript; charset=utf-8"),
	"/icon.svg":  load("icon.svg", "image/svg+xml"),
}

func load(name, kind string) file {
	content, err := static.ReadFile("static/" + name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return file{kind, content}
}

// view is a page to show.
type view struct {
	template string
	status   int
	// location is where to go instead, after an action.
	location string
	// refresh means that the page shows the latest state when it is loaded again.
	refresh bool

	Title string
	// Section is the path of the page in the navigation.
	Section string
	// Notice is what an action did.
	Notice *describe.Report
	Body   any
}

// frame is what surrounds a page.
type frame struct {
	view
	Refresh         bool
	Address, At, In string
	Sections        []section
}

// section is an entry of the navigation.
type section struct {
	Path, Name string
	Current    bool
}

var sections = []section{
	{Path: "/", Name: "Overview"}, {Path: "/pushkeys", Name: "Pushkeys"}, {Path: "/outbox", Name: "Outbox"}, {Path: "/test", Name: "Test push"},
}

// renderer has the templates by name.
type renderer map[string]*template.Template

// newRenderer parses the templates. The forms in them contain the token, and their links and forms lead to paths inside the folder.
func newRenderer(token string, inside func(string) string) renderer {
	funcs := template.FuncMap{"token": func() string { return token }, "path": inside, "number": number, "sentence": sentence}
	layout := template.Must(template.New("layout.html").Funcs(funcs).ParseFS(templates, "templates/layout.html", "templates/parts.html"))
	r := make(renderer)
	names, err := templates.ReadDir("templates")
	if err != nil {
		panic(err) // they are part of the program
	}
	for _, entry := range names {
		name := strings.TrimSuffix(entry.Name(), path.Ext(entry.Name()))
		if name != "layout" && name != "parts" {
			r[name] = template.Must(template.Must(layout.Clone()).ParseFS(templates, "templates/"+entry.Name()))
		}
	}
	return r
}

// show writes a page.
func (p *Page) show(w http.ResponseWriter, v view) {
	now := p.clock()
	f := frame{view: v, Refresh: v.refresh, Address: p.api.Address(), At: now.Format(time.TimeOnly), In: now.Format("MST")}
	for _, s := range sections {
		s.Current = s.Path == v.Section
		f.Sections = append(f.Sections, s)
	}
	var page bytes.Buffer
	if err := p.render[v.template].Execute(&page, f); err != nil {
		http.Error(w, "This page cannot be shown. Please report that as a bug.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.status != 0 {
		w.WriteHeader(v.status)
	}
	_, _ = w.Write(page.Bytes())
}

// sentence writes a text as a sentence: with a capital letter, and a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// number writes a number with a comma between thousands.
func number(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
