package ui

import (
	"net/url"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

// table is a table. On a narrow screen, each row becomes a block.
type table struct {
	Caption string
	Columns []string
	Rows    [][]cell
}

// newTable returns a table without rows. The column of a row's forms has no name to see.
func newTable(caption string, columns ...string) table {
	return table{Caption: caption, Columns: columns}
}

func (t *table) add(row ...cell) { t.Rows = append(t.Rows, row) }

// Shown returns the table without columns that are empty.
func (t table) Shown() table {
	shown := table{Caption: t.Caption, Rows: make([][]cell, len(t.Rows))}
	for i, name := range t.Columns {
		if !slices.ContainsFunc(t.Rows, func(row []cell) bool { return !row[i].empty() }) {
			continue
		}
		shown.Columns = append(shown.Columns, name)
		for n, row := range t.Rows {
			row[i].Label = name
			shown.Rows[n] = append(shown.Rows[n], row[i])
		}
	}
	return shown
}

func (c cell) empty() bool { return c.Text == "" && c.Chart == nil && len(c.Forms) == 0 }

// cell is a cell of a table.
type cell struct {
	// Label is the name of its column.
	Label string
	Text  string
	// Note is a second line.
	Note string
	Tone describe.Tone
	// Code means that the text is a technical value.
	Code bool
	// Number means that the text is a number.
	Number bool
	Link   string
	Chart  *chart
	Forms  []form
}

// cells returns cells with text only.
func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i].Text = text
	}
	return row
}

// form is a form with one button.
type form struct {
	Action, Label string
	// About names what the button is for, where several buttons have the same label.
	About  string
	Fields []field
	Danger bool
}

type field struct{ Name, Value string }

// linkTo returns the address of an app's page.
func linkTo(app string) string { return "/app?" + url.Values{"app": {app}}.Encode() }

// detailsOf returns the form that shows the device with a hash.
func detailsOf(hash string) form {
	return form{Action: "/pushkeys/explain", Label: "Details", About: hash, Fields: []field{{"hash", hash}}}
}

// forgetting returns the form that forgets the record of a device.
func forgetting(hash string) form {
	return form{Action: "/pushkeys/forget", Label: "Forget", About: hash, Fields: []field{{"hash", hash}}}
}

// retrying returns the form that retries the pending pushes of an app, or of one of its devices.
func retrying(app, hash string) form {
	f := form{Action: "/outbox/retry", Label: "Retry now", About: app, Fields: []field{{"app", app}}}
	if hash != "" {
		f.About, f.Fields = hash, append(f.Fields, field{"hash", hash})
	}
	return f
}
