package gateway

import "unicode/utf8"

// match reports whether all of s matches the pattern: `*` is any run of characters, `?` is one character, and everything else is
// itself. In the worst case, it takes time in proportion to the product of the lengths. It takes no memory.
func match(pattern, s string) bool {
	var p, i int
	star, restart := -1, 0
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if p < len(pattern) {
			c, width := utf8.DecodeRuneInString(pattern[p:])
			switch {
			case c == '*':
				star, restart = p, i
				p += width
				continue
			case c == '?' || c == r:
				p += width
				i += size
				continue
			}
		}
		if star < 0 {
			return false
		}
		// The last star takes one more character. The stars before it keep what they have, since the text between them is matched.
		_, size = utf8.DecodeRuneInString(s[restart:])
		restart += size
		i, p = restart, star+1
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// overlap reports whether some string matches both patterns.
func overlap(a, b string) bool {
	x, y := []rune(a), []rune(b)
	// reach[j] is whether the rest of x from the current row on and the rest of y from j on can match the same string.
	reach := make([]bool, len(y)+1)
	for i := len(x); i >= 0; i-- {
		next := reach
		reach = make([]bool, len(y)+1)
		for j := len(y); j >= 0; j-- {
			switch {
			case i == len(x) && j == len(y):
				reach[j] = true
			case i < len(x) && x[i] == '*':
				reach[j] = next[j] || (j < len(y) && reach[j+1])
			case j < len(y) && y[j] == '*':
				reach[j] = reach[j+1] || (i < len(x) && next[j])
			case i < len(x) && j < len(y):
				reach[j] = next[j+1] && (x[i] == y[j] || x[i] == '?' || y[j] == '?')
			}
		}
	}
	return reach[0]
}
