package pushrules

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// lower returns the lower case of a text, as Unicode's full mapping has it. That mapping is slow. It differs from the mapping of single
// characters only for İ, and for Σ at the end of a word.
func lower(s string) string {
	if strings.Contains(s, "İ") || strings.Contains(s, "Σ") {
		return cases.Lower(language.Und).String(s)
	}
	return strings.ToLower(s)
}

// asciiWord reports whether a character is part of a word according to the specification.
func asciiWord(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
}

// unicodeWord reports whether a character is part of a word in Synapse: https://unicode.org/reports/tr18/#Compatibility_Properties (\w).
func unicodeWord(r rune) bool {
	if r < unicode.MaxASCII {
		return asciiWord(r)
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}

// folds calls f with a character and with all characters that are equal to it in any case.
func folds(r rune, f func(rune)) {
	f(r)
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		f(next)
	}
}
