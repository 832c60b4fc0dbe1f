package gateway

import "bytes"

// maxNesting is how deep a body may be nested. No homeserver nests that deep. The outbox keeps a push with some levels more around it, and
// reads it again with encoding/json, which gives up beyond 10,000: what was accepted would be lost.
const maxNesting = 9_900

// tooDeep says whether JSON is nested deeper than that. What cannot be is found out without looking at its strings.
func tooDeep(body []byte) bool {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxNesting {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++ // whatever is escaped ends no string
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > maxNesting {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}
