package pushword

import "strings"

const (
	// longRun is how many consecutive characters a word and a secret must not share. Ordinary words that both contain are shorter.
	longRun = 8
	// longPart is the length from which a part of a path must not appear in a word.
	longPart = 5
)

// repeats reports whether a word may be, or contain, something of what was sent: a server that a device chose may answer anything, and its
// answer is logged. Case doesn't matter.
func (s *said) repeats(word string) bool {
	word = strings.ToLower(word)
	if strings.Contains(strings.ToLower(s.Content), word) {
		return true
	}
	for _, secret := range s.Secrets {
		secret = strings.ToLower(secret)
		if strings.Contains(secret, word) || hasRunOf(secret, word) {
			return true
		}
		for _, part := range strings.FieldsFunc(secret, func(r rune) bool { return !isWordRune(r) }) {
			if len(part) >= longPart && strings.Contains(word, part) {
				return true
			}
		}
	}
	return false
}

// hasRunOf reports whether a secret shares more consecutive characters with a word than chance would explain.
func hasRunOf(secret, word string) bool {
	for i := 0; i+longRun <= len(word); i++ {
		if strings.Contains(secret, word[i:i+longRun]) {
			return true
		}
	}
	return false
}

// isWordRune reports whether a word can have the character.
func isWordRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_'
}
