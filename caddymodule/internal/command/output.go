package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

// style is how text is shown: in colours on a terminal, and in lines that fit.
type style struct {
	coloured bool
	// width is how many columns a table may take. wraps means that sentences are wrapped at this width, too.
	width int
	wraps bool
}

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

// labels begin the sentences of lists. If such a sentence is wrapped, its further lines begin behind the label.
var labels = []string{"- ", "Warning: "}

// say writes a sentence.
func (i *invocation) say(c colour, format string, args ...any) {
	text, label := printable(fmt.Sprintf(format, args...)), ""
	for _, l := range labels {
		if strings.HasPrefix(text, l) {
			text, label = text[len(l):], l
		}
	}
	fmt.Fprintln(i.out, i.style.paint(c, label+i.style.wrapped(len(label), text)))
}

// facts writes a line for each name that has a value.
func (i *invocation) facts(rows [][2]string) {
	for _, row := range rows {
		if row[1] != "" {
			i.fact(row[0], row[1])
		}
	}
}

// fact writes a name and its value.
func (i *invocation) fact(name, value string) {
	name = fmt.Sprintf("%-15s ", name)
	fmt.Fprintln(i.out, name+i.style.wrapped(columns(name), printable(value)))
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

// clock describes times in the operator's time zone.
func (i *invocation) clock() describe.Clock { return i.now }

func (i *invocation) when(t time.Time) string { return i.clock().When(t) }

func (i *invocation) whenever(t *time.Time) string { return i.clock().Whenever(t) }

// tones are the colours of good and bad news.
var tones = map[describe.Tone]colour{describe.Good: green, describe.Warning: yellow, describe.Bad: red}

// described prints a report. Each fact is changed before it is printed.
func (i *invocation) described(r describe.Report, change func(*describe.Fact)) {
	i.say(tones[r.Tone], "%s", r.Sentence)
	for _, f := range r.Facts {
		change(&f)
		i.fact(f.Name, f.Value)
	}
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
