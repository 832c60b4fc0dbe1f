package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// style colours the output on a terminal.
type style struct{ coloured bool }

// The colours, as ECMA-48 numbers them.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

func (s style) paint(c colour, text string) string {
	if !s.coloured || c == plain {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// printable returns the text without control characters, as parts of it may come from others.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, text)
}

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
			row[i].text = "-"
		}
	}
	t.rows = append(t.rows, row)
}

func (t *table) write(w io.Writer, s style) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(s.paint(c.colour, c.text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		fmt.Fprintln(w, line.String())
	}
}

// say writes a line.
func (i *invocation) say(c colour, format string, args ...any) {
	fmt.Fprintln(i.out, i.style.paint(c, printable(fmt.Sprintf(format, args...))))
}

// raw writes JSON as the admin API answered it.
func (i *invocation) raw(answer []byte) {
	_, _ = i.out.Write(answer)
	if len(answer) == 0 || answer[len(answer)-1] != '\n' {
		fmt.Fprintln(i.out)
	}
}

// encode writes JSON that the command builds itself.
func (i *invocation) encode(answer any) error { return json.NewEncoder(i.out).Encode(answer) }

// when formats a time in the operator's time zone, with its distance from now.
func (i *invocation) when(t time.Time) string {
	now := i.now()
	if t.IsZero() {
		return ""
	}
	return t.In(now.Location()).Format(time.DateTime) + " (" + relative(t.Sub(now)) + ")"
}

func (i *invocation) whenever(t *time.Time) string {
	if t == nil {
		return ""
	}
	return i.when(*t)
}

func relative(d time.Duration) string {
	if d > 0 {
		return "in " + length(d)
	}
	return length(-d) + " ago"
}

// length formats a duration in a suitable unit.
func length(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
		upTo time.Duration
	}{{time.Second, "s", 2 * time.Minute}, {time.Minute, "m", 2 * time.Hour}, {time.Hour, "h", 48 * time.Hour}} {
		if n := d.Round(u.unit); n < u.upTo {
			return fmt.Sprint(int64(n/u.unit)) + u.name
		}
	}
	const day = 24 * time.Hour
	return fmt.Sprint(int64(d.Round(day)/day)) + "d"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// progress shows on a terminal that a long operation is running.
type progress struct {
	w       io.Writer
	shown   bool
	written bool
}

func (p *progress) tell(format string, args ...any) {
	if p.shown {
		fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
		p.written = true
	}
}

// end clears the line for the next output.
func (p *progress) end() {
	if p.written {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.written = false
}
