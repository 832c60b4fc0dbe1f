package fcm

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// badToken is the reason for a pushkey that is not a registration token.
const badToken = "bad_token"

var (
	errNoToken  = errors.New("the pushkey is blank")
	errBadToken = errors.New("the pushkey is not a registration token: it contains white space or control characters")
)

// Usable returns an error if the pushkey is not a registration token. Google does not document what a token consists of, so the error only
// covers what no token of an app can contain; FCM judges the rest.
func (*Provider) Usable(d *providers.Device, _ providers.Site) error {
	if isPlain(d.Pushkey) {
		return nil
	}
	token := strings.TrimSpace(d.Pushkey)
	switch {
	case token == "":
		return &providers.UnusableError{Reason: badToken, Err: errNoToken}
	case strings.ContainsFunc(token, neverInToken):
		return &providers.UnusableError{Reason: badToken, Err: errBadToken}
	}
	return nil
}

// isPlain reports whether a pushkey consists of printable ASCII characters, as nearly all do.
func isPlain(pushkey string) bool {
	for i := range len(pushkey) {
		if c := pushkey[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return pushkey != ""
}

// neverInToken reports whether a character cannot be part of a token. The replacement character stands for invalid Unicode.
func neverInToken(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r)
}
