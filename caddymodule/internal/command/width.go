package command

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

const (
	// usualWidth is the width of an output that is not a terminal.
	usualWidth = 80
	// leastWidth is the least width of an output, and leastText that of a wrapped text in it.
	leastWidth, leastText = 40, 20
)

// terminalWidth returns the width of a terminal, or else the number in the environment variable COLUMNS; 0 if there is neither. Programs
// such as watch set COLUMNS.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	n, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// fit sets the width of the output; 0 means that it is not known. Then sentences are not wrapped, so a script can search them.
func (s style) fit(columns int) style {
	s.width, s.wraps = usualWidth, columns > 0
	if s.wraps {
		s.width = max(columns, leastWidth)
	}
	return s
}

// columns returns how many columns of a terminal a text takes.
func columns(text string) (n int) {
	for _, c := range text {
		switch kind := width.LookupRune(c).Kind(); {
		case unicode.In(c, unicode.Mn, unicode.Me): // drawn over the letter before it
		case kind == width.EastAsianWide, kind == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// wrapped returns a text that begins after indent columns of a line. Its further lines begin at the same column.
func (s style) wrapped(indent int, text string) string {
	if !s.wraps || indent+columns(text) <= s.width {
		return text
	}
	return strings.Join(wrap(text, max(s.width-indent, leastText)), "\n"+strings.Repeat(" ", indent))
}

// wrap breaks a text at its spaces into lines of at most limit columns. A longer word is not broken, so it can be copied.
func wrap(text string, limit int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) <= limit, columns(word) > limit:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
