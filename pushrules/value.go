package pushrules

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// decode returns a JSON value with its numbers as they are written, or nil if there is no value. The last of several equal members counts.
func decode(raw []byte) any {
	var value any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return nil
	}
	return value
}

func isObject(raw json.RawMessage) bool {
	return len(raw) > 0 && bytes.TrimLeft(raw, " \t\r\n")[0] == '{'
}

// object returns the members of a JSON object, or nothing if the value is not an object.
func object(raw json.RawMessage) (members map[string]json.RawMessage) {
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	return members
}

// maxInteger is the largest integer of canonical JSON:
// https://spec.matrix.org/latest/appendices/#canonical-json
const maxInteger = 1<<53 - 1

// simple returns a string, an integer (as int64), a boolean or null. It returns false for all other values. 1.0 is not an integer, because
// events have only integers. Unless large is set, larger integers than those of canonical JSON are not simple.
func simple(value any, large bool) (any, bool) {
	switch v := value.(type) {
	case nil, string, bool:
		return v, true
	case json.Number:
		n, err := strconv.ParseInt(string(v), 10, 64)
		return n, err == nil && (large || -maxInteger <= n && n <= maxInteger)
	}
	return nil, false
}

// same reports whether two values are simple and equal. 1 is not true, and null is not absent.
func same(a, b any, large bool) bool {
	x, ok := simple(a, large)
	y, also := simple(b, large)
	return ok && also && x == y
}

// bodyKey is the only key whose value is matched by words.
const bodyKey = "content.body"

// path returns the names of a key: https://spec.matrix.org/latest/appendices/#dot-separated-property-paths. A backslash that escapes
// nothing stands for itself. Synapse never finds such a key, and so odd reports whether there is one. Before v1.7, there were no escapes.
func path(key string, escapes bool) (names []string, odd bool) {
	if !escapes || !strings.Contains(key, `\`) {
		return strings.Split(key, "."), false
	}
	var name strings.Builder
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c == '\\' && i+1 < len(key) && (key[i+1] == '.' || key[i+1] == '\\'):
			i++
			name.WriteByte(key[i])
		case c == '.':
			names = append(names, name.String())
			name.Reset()
		default:
			odd = odd || c == '\\'
			name.WriteByte(c)
		}
	}
	return append(names, name.String()), odd
}

// find follows the names from member to member.
func find(value any, names []string) (any, bool) {
	for _, name := range names {
		members, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = members[name]; !ok {
			return nil, false
		}
	}
	return value, true
}
