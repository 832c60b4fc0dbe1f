package vapid

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/names"
)

var (
	errForm      = errors.New(`neither "mailto:" and an e-mail address nor an https URL: write one, such as mailto:ops@example.org`)
	errNotPublic = errors.New(`which Apple's push service refuses (403 BadJwtToken): ` +
		`write an address or URL of yours on the internet, such as mailto:ops@example.org`)
)

// ValidateSubject returns an error if push services won't accept the subject, which must be "mailto:" and an e-mail address, or an https
// URL (RFC 8292 section 2.1). Otherwise, Apple's push service answers BadJwtToken to every push. It also does so for a subject with a space
// or a display name, and for one at a name that is not on the internet (web-push#947, omp-session-gateway#173, herdr-mobile-relay#7).
func ValidateSubject(s string) error {
	host, err := subjectHost(s)
	if err != nil {
		return fmt.Errorf("%s is %w", shown(s), err)
	}
	if why := names.Public(host); why != nil {
		return fmt.Errorf("%s is at %q, %w, %w", shown(s), host, why, errNotPublic)
	}
	return nil
}

// IsExample reports whether a valid subject is at a name reserved for documentation, where nobody reads mail.
func IsExample(s string) bool {
	host, err := subjectHost(s)
	return err == nil && names.IsExample(names.Canonical(host))
}

// subjectHost returns the subject's host name or address.
func subjectHost(s string) (string, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	switch scheme {
	case "mailto":
		address, err := mail.ParseAddress(rest)
		if err != nil || address.Address != rest || strings.ContainsAny(rest, ` ?"`) {
			return "", errForm
		}
		return rest[strings.LastIndexByte(rest, '@')+1:], nil
	case "https":
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, " \t\r\n") {
			return "", errForm
		}
		return u.Hostname(), nil
	default:
		return "", errForm
	}
}

// shown returns a subject as an error may show it: a URL may contain a password.
func shown(s string) string {
	if u, err := url.Parse(s); err != nil || u.User != nil {
		return "the subject"
	}
	return strconv.Quote(s)
}
