package vapid

import (
	"errors"
	"net/mail"
	"net/url"
	"strings"
)

var (
	errSubject   = errors.New(`the VAPID subject is neither "mailto:" and an e-mail address nor an https URL`)
	errLocalhost = errors.New("the VAPID subject is at localhost, which Apple's push service refuses (BadJwtToken)")
)

// ValidateSubject says whether push services will accept the subject: "mailto:" and an e-mail address, or an https URL (RFC 8292
// section 2.1). Apple's answers BadJwtToken to every push otherwise, also to one with a space or a display name in it.
func ValidateSubject(s string) error {
	scheme, rest, _ := strings.Cut(s, ":")
	host := ""
	switch scheme {
	case "mailto":
		address, err := mail.ParseAddress(rest)
		if err != nil || address.Address != rest || strings.ContainsAny(rest, ` ?"`) {
			return errSubject
		}
		host = rest[strings.LastIndexByte(rest, '@')+1:]
	case "https":
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, " \t\r\n") {
			return errSubject
		}
		host = u.Hostname()
	default:
		return errSubject
	}
	if strings.EqualFold(host, "localhost") {
		return errLocalhost
	}
	return nil
}
