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

// window is how many bytes of a secret's end are looked up at each place of a log.
const window = shortest

// index finds many secrets in one pass over a text. For each place, it looks up which lengths the secrets have that end with the bytes
// before it.
type index struct {
	secrets map[string]string
	lengths map[uint64][]int // by the last bytes
	some    []bool           // whether there are lengths, by a hash of the last bytes; a log has few places with any
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

// slot returns a 20-bit hash of the last bytes.
func slot(last uint64) uint64 { return last * 0x9e3779b97f4a7c15 >> 44 }

// span is where a secret is in a text.
type span struct {
	from, to int
	kind     string
}

// in returns the secrets in a text.
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

// log returns the lines of a log that show a secret.
func (x *index) log(log []byte) (finds []find) {
	for line := range bytes.Lines(log) {
		if kinds, masked := x.line(bytes.TrimSpace(line)); len(kinds) > 0 {
			finds = append(finds, find{kinds: strings.Join(kinds, " and "), line: masked, lines: 1})
		}
	}
	return finds
}

// levels is how many levels of escapes are removed.
const levels = 5

// line searches a line of a log as it is, and without the escapes of JSON, Go and URLs. It removes several levels of escapes, since a
// quoted error in a JSON string has two. It returns the kinds that it found, and the line with the secrets masked.
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

// uri matches the URI of a client's request, as Caddy's access log and reverse proxy log it. A push server behind the same Caddy has
// endpoints, and its log is its operator's responsibility (docs/what-is-stored.md, "Logs"). The rest of such a line is searched.
var uri = regexp.MustCompile(`("logger":"http\.(?:log\.access|handlers\.reverse_proxy)[^"]*".*?"request":\{.*?"uri":")(?:[^"\\]|\\.)*`)

// mask replaces the secrets of a text by their kinds.
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

// unescape removes one level of escapes: those of JSON and of Go's %q. Other text stays.
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

// codePoint returns the code point that a number of hexadecimal digits name.
func codePoint(text []byte, digits int) (rune, bool) {
	if len(text) < digits {
		return 0, false
	}
	c, err := strconv.ParseUint(string(text[:digits]), 16, 32)
	return rune(c), err == nil
}

// unpercent returns a text without the escapes of URLs. Other text stays.
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
