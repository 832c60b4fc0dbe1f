package apns

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// fit returns the document as JSON of at most limit bytes, and false if it cannot be made to fit.
//
// It shortens the texts of the alert, one character at a time, always the longest text: Sygnal's fair rule, with the same result. Sygnal
// measures JSON with a space after each comma and colon, and so does fit when it chooses where to cut. Without the spaces, a little room
// remains; nothing is sent that would not fit.
func (d *document) fit(limit int) ([]byte, bool) {
	whole := d.marshal()
	if 2*len(whole) <= limit || !measure(whole).over(limit) { // even with a space after each byte
		return whole, true
	}
	alert, texts := decodeAlert(d.aps.get("alert"))
	if alert == nil {
		return whole, len(whole) <= limit
	}
	for _, text := range texts {
		*text = cutTo(*text, limit)
	}
	if now := measure(d.marshalWith(alert)); now.over(limit) {
		cut(texts, now, limit)
	}
	rest := d.marshalWith(alert)
	return rest, len(rest) <= limit
}

// marshalWith sets the alert and returns the document.
func (d *document) marshalWith(alert any) []byte {
	d.aps.set("alert", clientjson.Marshal(alert))
	return d.marshal()
}

// decodeAlert decodes an alert, and returns those of its strings that may be cut, in the order in which equally long ones are cut. Cutting
// them changes the alert. The alert is nil if it is neither a string nor an object.
func decodeAlert(value json.RawMessage) (alert any, texts []*string) {
	if whole := stringIn(value); whole != nil {
		return whole, []*string{whole}
	}
	raw, ok := clientjson.Members(value)
	if !ok {
		return nil, nil
	}
	members := make(map[string]any, len(raw))
	for name, value := range raw {
		members[name] = value
	}
	if body := stringIn(raw["body"]); body != nil {
		members["body"] = body
		texts = append(texts, body)
	}
	var list []any
	if list, texts = stringsIn(raw["loc-args"], texts); list != nil {
		members["loc-args"] = list
	}
	return members, texts
}

// stringsIn returns a JSON array with its strings decoded, and appends them to texts; nil if the value is not an array.
func stringsIn(array json.RawMessage, texts []*string) ([]any, []*string) {
	var raw []json.RawMessage
	if lenient.Unmarshal(array, &raw) != nil || raw == nil {
		return nil, texts
	}
	list := make([]any, len(raw))
	for i, value := range raw {
		list[i] = value
		if text := stringIn(value); text != nil {
			list[i] = text
			texts = append(texts, text)
		}
	}
	return list, texts
}

// stringIn returns a JSON string, decoded; nil if the value is something else.
func stringIn(value json.RawMessage) *string {
	text := new(string)
	if !bytes.HasPrefix(value, []byte{'"'}) || lenient.Unmarshal(value, text) != nil {
		return nil
	}
	return text
}

// cutTo returns the text up to byte n, without a character that would be split there.
func cutTo(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// cut shortens the texts of a payload that is too long, as if it removed the last character of the longest text, the first of
// equally long ones, until the payload fits or nothing is left.
//
// Longest first means: no text loses a character that ends at byte n before all texts have lost those that end later. So the characters of
// all texts go in the order of where they end. Summing up the sizes of those that end at the same byte is enough to find the byte at which
// the payload starts to fit:
//
//	byte    1 2 3 4 5
//	text 1  a b c d e     e goes first, then d and z (of four bytes), then c and y. If the payload fits without c, y stays.
//	text 2  x-y-z---
func cut(texts []*string, now size, limit int) {
	end := 0
	for _, text := range texts {
		end = max(end, len(*text))
	}
	worth := make([]size, end+1)
	for _, text := range texts {
		for i, r := range *text {
			at := i + utf8.RuneLen(r)
			worth[at] = worth[at].plus(sizeOf(r))
		}
	}
	for ; end > 0 && now.minus(worth[end]).over(limit); end-- {
		now = now.minus(worth[end])
	}
	for _, text := range texts {
		*text = cutTo(*text, end)
		if end > 0 && len(*text) == end && now.over(limit) {
			r, n := utf8.DecodeLastRuneInString(*text)
			*text = (*text)[:end-n]
			now = now.minus(sizeOf(r))
		}
	}
}

// size is the length of a JSON text in bytes.
type size struct {
	sygnals int // as Python's json.dumps(ensure_ascii=False), which Sygnal calls, writes it
	ours    int // as it is sent
}

func (s size) plus(t size) size { return size{s.sygnals + t.sygnals, s.ours + t.ours} }

func (s size) minus(t size) size { return size{s.sygnals - t.sygnals, s.ours - t.ours} }

func (s size) over(limit int) bool { return max(s.sygnals, s.ours) > limit }

// sizeOf returns the size of a character in a string. Both writers escape the same characters the same way, except the two line separators
// of JavaScript, which only Go escapes.
func sizeOf(r rune) size {
	switch {
	case r == '"', r == '\\', r == '\b', r == '\f', r == '\n', r == '\r', r == '\t':
		return size{2, 2}
	case r < ' ':
		return size{6, 6}
	case r == '\u2028', r == '\u2029':
		return size{3, 6}
	default:
		n := max(1, utf8.RuneLen(r)) // half a surrogate pair, in a pusher's data, has none
		return size{n, n}
	}
}

// measure returns the size of compact JSON.
func measure(compact []byte) size {
	s := size{len(compact), len(compact)}
	quoted := false
	for i := 0; i < len(compact); i++ {
		switch c := compact[i]; {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ':'):
			s.sygnals++
		case c == '\\':
			r, n := unescape(compact[i:])
			s.sygnals += sizeOf(r).sygnals - n
			i += n - 1
		}
	}
	return s
}

// unescape returns the character that an escape sequence of n bytes stands for: clients may escape more in default_payload than Python
// would.
func unescape(sequence []byte) (r rune, n int) {
	switch sequence[1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return '\n', 2 // all of them have the same size
	case 'u':
		r = hexadecimal(sequence[2:6])
	default: // a slash
		return rune(sequence[1]), 2
	}
	if utf16.IsSurrogate(r) && len(sequence) >= 12 && sequence[6] == '\\' && sequence[7] == 'u' {
		if pair := utf16.DecodeRune(r, hexadecimal(sequence[8:12])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return r, 6
}

func hexadecimal(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits), 16, 16)
	return rune(n)
}
