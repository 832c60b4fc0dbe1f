package gateway

import (
	"encoding/json"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// maxDigits is how many digits a push service's word has at most. No vendor's word has many (autopush's errno has three, ntfy's
	// codes have five), but tokens do.
	maxDigits = 8
	// maxCode is the length up to which a number is always shown. So short a number reveals nothing, and a token may contain it by
	// chance.
	maxCode = 5
	// maxShared is how many characters in a row a word may not share with what was sent to the push service.
	maxShared = 12
	// minSecret is the shortest pushkey that a word must not contain. Shorter ones are part of many words.
	minSecret = 4
)

// wordFor returns a push service's word for the outcome of a device's push. It is empty if it may repeat a secret that was sent to the
// push service.
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

// digit returns 0 for any digit.
func digit(r rune) rune {
	if r >= '0' && r <= '9' {
		return '0'
	}
	return r
}

// repeats reports whether a word is part of a secret, contains it, or shares a long part with it. Case does not matter.
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

// plain returns a device's data in one spelling, because JSON has several ways to write each letter of a string.
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
