package command

import (
	"fmt"
	"io"
	"strings"
)

// cell is a field of a table.
type cell struct {
	text   string
	colour colour
}

func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i].text = text
	}
	return row
}

// missing stands for a cell without a text.
const missing = "-"

// table has a header and rows. Each column is as wide as its widest cell.
type table struct{ rows [][]cell }

func newTable(header ...string) *table {
	t := new(table)
	t.add(cells(header...)...)
	for i := range t.rows[0] {
		t.rows[0][i].colour = bold
	}
	return t
}

func (t *table) add(row ...cell) {
	for i := range row {
		row[i].text = printable(row[i].text)
		if row[i].text == "" {
			row[i].text = missing
		}
	}
	t.rows = append(t.rows, row)
}

// gap is the space between two columns.
const gap = "  "

// write prints the table. If it is wider than the output, each row becomes a block of lines.
func (t *table) write(w io.Writer, s style) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], columns(c.text))
		}
	}
	total := len(gap) * (len(widths) - 1)
	for _, width := range widths {
		total += width
	}
	if total > s.width {
		t.writeBlocks(w, s)
		return
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(s.paint(c.colour, c.text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-columns(c.text)) + gap)
			}
		}
		fmt.Fprintln(w, line.String())
	}
}

// writeBlocks prints a block for each row: the first cell as the heading, and below it a line for each cell that has a text.
func (t *table) writeBlocks(w io.Writer, s style) {
	header := t.rows[0]
	names := 0
	for _, name := range header[1:] {
		names = max(names, columns(name.text))
	}
	for n, row := range t.rows[1:] {
		if n > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, s.paint(bold, header[0].text+gap+row[0].text))
		for i, c := range row[1:] {
			if c.text == missing {
				continue
			}
			name := header[i+1].text
			prefix := gap + name + strings.Repeat(" ", names-columns(name)) + gap
			fmt.Fprintln(w, prefix+s.paint(c.colour, s.wrapped(columns(prefix), c.text)))
		}
	}
}
