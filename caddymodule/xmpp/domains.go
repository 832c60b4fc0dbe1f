package xmpp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// domains decides which servers may push.
type domains struct{ allowed, denied []string }

// allow reports whether the server of a domain may push. What is denied is denied, even if it is also allowed.
func (d *domains) allow(domain string) bool {
	return !contains(d.denied, domain) && (len(d.allowed) == 0 || contains(d.allowed, domain))
}

// contains reports whether a domain is one of the names. The name *.example.org stands for all domains below example.org.
func contains(names []string, domain string) bool {
	for _, name := range names {
		below, wild := strings.CutPrefix(name, "*")
		if name == domain || wild && len(domain) > len(below) && strings.HasSuffix(domain, below) {
			return true
		}
	}
	return false
}

// parseDomains checks a list of domains, and returns it in the form in which senders are compared with it.
func parseDomains(option string, names []string) (list []string, err error) {
	for _, name := range names {
		if err := checkDomain(strings.TrimPrefix(name, "*.")); err != nil && name != "*" {
			return nil, fmt.Errorf("%s: %s %w: write a domain such as example.org, or *.example.org for all domains below it",
				option, nearest.Shown(name), err)
		}
		list = append(list, strings.ToLower(name))
	}
	return list, nil
}

// maxDomain is the maximum length of a domain, RFC 1035 section 2.3.4.
const maxDomain = 253

// checkDomain returns what is wrong with a domain.
func checkDomain(domain string) error {
	switch {
	case domain == "":
		return errors.New("is empty")
	case len(domain) > maxDomain:
		return errors.New("is too long")
	case strings.ContainsAny(domain, "@/ \t\r\n*?\"'&<>:"):
		return errors.New("is not a domain")
	case strings.HasPrefix(domain, "."), strings.HasSuffix(domain, "."):
		return errors.New("begins or ends with a dot")
	}
	return nil
}
