package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// window is how much of a secret's end is looked up at each place of a log.
const window = shortest

// index finds many secrets in one pass over a text: for each place, it looks up whether secrets end with the bytes before it, and of
// which lengths they are.
type index struct {
	secrets map[string]string
	lengths map[uint64][]int // by the last bytes
	some    []bool           // whether there is a length, by a hash of the last bytes: a log has few places where there is
}

func newIndex(secrets map[string]string) *index {
	x := &index{secrets: secrets, lengths: make(map[uint64][]int), some: make([]bool, 1<<20)}
	for text := range secrets {
		var last uint64
		for _, c := range []byte(text[len(text)-window:]) {
			last = last<<8 | uint64(c)
		}
		if !slices.Contains(x.lengths[last], len(text)) {
			x.lengths[last] = append(x.lengths[last], len(text))
		}
		x.some[slot(last)] = true
	}
	return x
}

// slot is a hash of the last bytes, of 20 bits.
func slot(last uint64) uint64 { return last * 0x9e3779b97f4a7c15 >> 44 }

// span is where a secret is in a text.
type span struct {
	from, to int
	kind     string
}

// in are the secrets in a text.
func (x *index) in(text []byte) (spans []span) {
	var last uint64
	for i, c := range text {
		last = (last<<8 | uint64(c)) & (1<<(8*window) - 1)
		if i < window-1 || !x.some[slot(last)] {
			continue
		}
		for _, length := range x.lengths[last] {
			if from := i + 1 - length; from >= 0 {
				if kind, ok := x.secrets[string(text[from:i+1])]; ok {
					spans = append(spans, span{from, i + 1, kind})
				}
			}
		}
	}
	return spans
}

// log are the lines of a log that show a secret.
func (x *index) log(log []byte) (finds []find) {
	for line := range bytes.Lines(log) {
		if kinds, masked := x.line(bytes.TrimSpace(line)); len(kinds) > 0 {
			finds = append(finds, find{kinds: strings.Join(kinds, " and "), line: masked, lines: 1})
		}
	}
	return finds
}

// levels is how many times what is escaped may have been escaped.
const levels = 5

// line searches a line of a log as it stands, and as it reads without JSON's and Go's escapes and those of URLs, however often it was
// escaped: a quoted error in a JSON string is. It returns the kinds that were found and the line in which they are masked.
func (x *index) line(line []byte) (kinds []string, masked string) {
	if bytes.Contains(line, []byte(`"uri":"`)) {
		line = uri.ReplaceAll(line, []byte("$1"))
	}
	for range levels {
		text := line
		for range levels {
			if spans := x.in(text); len(spans) > 0 {
				return mask(text, spans)
			}
			if !bytes.ContainsRune(text, '%') {
				break
			}
			text = []byte(unpercent(string(text)))
		}
		if !bytes.ContainsRune(line, '\\') {
			break
		}
		line = unescape(line)
	}
	return nil, ""
}

// uri is what a client asked a site for, as Caddy's own access log and reverse proxy say it: a push server behind the same Caddy has
// endpoints, and its log is its operator's (README.md, "Privacy and logs"). Everything else in such a line is searched.
var uri = regexp.MustCompile(`("logger":"http\.(?:log\.access|handlers\.reverse_proxy)[^"]*".*?"request":\{.*?"uri":")(?:[^"\\]|\\.)*`)

// mask replaces the secrets of a text by what they are.
func mask(text []byte, spans []span) (kinds []string, masked string) {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.from-b.from, b.to-a.to) })
	var b strings.Builder
	done := 0
	for _, s := range spans {
		if !slices.Contains(kinds, s.kind) {
			kinds = append(kinds, s.kind)
		}
		if s.from >= done {
			b.Write(text[done:s.from])
			fmt.Fprintf(&b, "‹%s›", s.kind)
		}
		done = max(done, s.to)
	}
	b.Write(text[done:])
	return kinds, b.String()
}

// unescape takes one level of escapes away: those of JSON and of Go's %q. What is no escape stays.
func unescape(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for len(text) > 0 {
		if text[0] != '\\' || len(text) == 1 {
			plain, text = append(plain, text[0]), text[1:]
			continue
		}
		size := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[1]]
		if size == 0 {
			c := text[1]
			if i := strings.IndexByte("abfnrtv", c); i >= 0 {
				c = "\a\b\f\n\r\t\v"[i]
			}
			plain, text = append(plain, c), text[2:]
			continue
		}
		c, ok := codePoint(text[2:], size)
		switch {
		case !ok:
			plain, text = append(plain, text[:2]...), text[2:]
			continue
		case size == 2:
			plain = append(plain, byte(c))
		case utf16.IsSurrogate(c):
			if low, ok := codePoint(bytes.TrimPrefix(text[2+size:], []byte(`\u`)), 4); ok && utf16.DecodeRune(c, low) != utf8.RuneError {
				c, size = utf16.DecodeRune(c, low), size+6
			}
			fallthrough
		default:
			plain = utf8.AppendRune(plain, c)
		}
		text = text[2+size:]
	}
	return plain
}

// codePoint is the one that so many hexadecimal digits name.
func codePoint(text []byte, digits int) (rune, bool) {
	if len(text) < digits {
		return 0, false
	}
	c, err := strconv.ParseUint(string(text[:digits]), 16, 32)
	return rune(c), err == nil
}

// unpercent is a text without the escapes of URLs. What is no escape stays.
func unpercent(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "%")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if c, ok := codePoint([]byte(after), 2); ok {
			b.WriteByte(byte(c))
			after = after[2:]
		} else {
			b.WriteByte('%')
		}
		text = after
	}
}
