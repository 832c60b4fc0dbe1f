package gateway

import (
	"encoding/json"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// maxDigits is how many digits a push service's word has at most: words of any vendor have few (autopush's errno has three, ntfy's codes
	// have five), and tokens have many.
	maxDigits = 8
	// maxCode is how long a number is at most that is shown in any case: it gives nothing away, and a token may contain it by chance.
	maxCode = 5
	// maxShared is how many characters in a row a word may not share with what the push service was sent.
	maxShared = 12
	// minSecret is how long a pushkey is at least that a word must not contain: a shorter one is in many words.
	minSecret = 4
)

// wordFor returns a push service's word for what happened to a device's push. It is empty if it may repeat what the push service was sent,
// which is secret.
func wordFor(said string, d *providers.Device) string {
	word := providers.Word(said)
	digits := strings.Count(strings.Map(digit, word), "0")
	switch {
	case word == "", digits == len(word) && digits <= maxCode:
		return word
	case digits > maxDigits, d == nil, repeats(word, d.Pushkey), repeats(word, string(plain(d.Data))):
		return ""
	default:
		return word
	}
}

// digit is 0 for a digit.
func digit(r rune) rune {
	if r >= '0' && r <= '9' {
		return '0'
	}
	return r
}

// repeats reports whether a word is part of a secret, contains it, or shares a long part with it. Capitals count for nothing.
func repeats(word, secret string) bool {
	word, secret = strings.ToLower(word), strings.ToLower(secret)
	if len(secret) >= minSecret && strings.Contains(word, secret) {
		return true
	}
	part := min(len(word), maxShared)
	for i := range len(word) - part + 1 {
		if strings.Contains(secret, word[i:i+part]) {
			return true
		}
	}
	return false
}

// plain is a device's data in one spelling: JSON may write each letter of a string in another way.
func plain(data json.RawMessage) []byte {
	var v any
	if lenient.Unmarshal(data, &v) != nil {
		return data
	}
	b, err := json.Marshal(v)
	if err != nil {
		return data
	}
	return b
}
