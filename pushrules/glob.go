package pushrules

import (
	"strings"
	"unicode/utf8"
)

// glob is a pattern, with how it is matched.
type glob struct {
	pattern string
	// words looks for the pattern between boundaries of words. Otherwise the pattern matches the whole value.
	words bool
	// literal takes * and ? for themselves.
	literal bool
	// synapse matches as Synapse's regular expressions do: * and ? don't match a newline, and an edge between a word and a sign is a
	// boundary.
	synapse bool
	// unicode uses Unicode's words in place of ASCII's.
	unicode bool
}

// match reports whether the pattern matches a value, which is in lower case.
func (g glob) match(value string) bool {
	pattern := g.pattern
	wild := !g.literal && strings.ContainsAny(pattern, "*?")
	if !wild {
		pattern = lower(pattern)
		if !g.words {
			return pattern == value
		}
		if pattern == "" {
			return true
		}
		if !strings.Contains(value, pattern) {
			return false
		}
	} else if !g.synapse {
		pattern = lower(pattern)
	}
	a := compile(pattern, wild, g.synapse)
	if a.tokens > utf8.RuneCountInString(value) {
		return false
	}
	return a.run(value, g)
}

// automaton matches a pattern in one pass over the value. Its state i means that the first i characters of the pattern, without asterisks,
// have matched. All states are bits, so one step takes a few operations for 64 of them. No pattern is slow: Baeza-Yates and Gonnet, "A New
// Approach to Text Searching", 1992.
type automaton struct {
	tokens int
	stars  []uint64 // the states before an asterisk, which stay as they are at any character
	any    []uint64 // the states after a question mark
	ascii  [utf8.RuneSelf][]uint64
	others map[rune][]uint64 // for each character: the states after it
	steps  int               // how often 64 states were computed
}

// compile makes the automaton of a pattern. With fold, a character also matches those that are equal in any case.
func compile(pattern string, wild, fold bool) *automaton {
	a := &automaton{others: map[rune][]uint64{}}
	size := len(pattern)/64 + 1
	a.stars, a.any = make([]uint64, size), make([]uint64, size)
	for _, r := range pattern {
		switch {
		case wild && r == '*':
			set(a.stars, a.tokens)
		case wild && r == '?':
			a.tokens++
			set(a.any, a.tokens)
		default:
			a.tokens++
		}
	}
	size = a.tokens/64 + 1
	a.stars, a.any = a.stars[:size], a.any[:size]
	state := 0
	for _, r := range pattern {
		if wild && r == '*' {
			continue
		}
		if state++; wild && r == '?' {
			continue
		}
		if fold {
			folds(r, func(r rune) { a.add(r, state) })
		} else {
			a.add(r, state)
		}
	}
	return a
}

func set(bits []uint64, i int) { bits[i/64] |= 1 << (i % 64) }

// add lets a character lead to a state.
func (a *automaton) add(r rune, state int) {
	after, known := a.after(r)
	if !known {
		after = append([]uint64(nil), a.any...)
		if r < utf8.RuneSelf {
			a.ascii[r] = after
		} else {
			a.others[r] = after
		}
	}
	set(after, state)
}

// after returns the states to which a character leads, and reports whether the pattern has the character.
func (a *automaton) after(r rune) ([]uint64, bool) {
	after := a.ascii[r&(utf8.RuneSelf-1)]
	if r >= utf8.RuneSelf {
		after = a.others[r]
	}
	if after == nil {
		return a.any, false
	}
	return after, true
}

// run reports whether the automaton matches a value.
func (a *automaton) run(value string, g glob) bool {
	word := asciiWord
	if g.unicode {
		word = unicodeWord
	}
	states, none := make([]uint64, len(a.stars)), make([]uint64, len(a.stars))
	states[0] = 1
	last, final := len(states)-1, uint64(1)<<(a.tokens%64)
	// An asterisk that was reached matches everything that follows it. So earlier states and later beginnings no longer matter, except that
	// a newline stops an asterisk in Synapse. Only the words of states from low to high are in use.
	low, high, lines := 0, 0, g.synapse && strings.Contains(value, "\n")
	before := false // whether the character before is part of a word
	for _, r := range value {
		if g.words {
			in := word(r)
			if low == 0 && (!before || g.synapse && !in) {
				states[0] |= 1
			}
			if states[last]&final != 0 && (!in || g.synapse && !before) {
				return true
			}
			before = in
		}
		after, known := a.after(r)
		stars := a.stars
		if lines && r == '\n' {
			stars = none
			if !known {
				after = none
			}
		}
		high = min(high+int(states[high]>>63), last)
		step(states[low:high+1], after[low:high+1], stars[low:high+1])
		a.steps += high - low + 1
		for !lines && low < high && states[high]&stars[high] != 0 {
			states[low] = 0
			low++
		}
	}
	return states[last]&final != 0 || g.words && a.tokens == 0
}

// step reads one character.
func step(states, after, stars []uint64) {
	after, stars = after[:len(states)], stars[:len(states)]
	carry := uint64(0)
	for i, s := range states {
		states[i] = (s<<1|carry)&after[i] | s&stars[i]
		carry = s >> 63
	}
}
