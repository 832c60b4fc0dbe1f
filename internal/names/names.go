// Package names recognizes host names that cannot be on the public internet.
package names

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// special are the suffixes of names that are not in the public DNS (https://www.iana.org/assignments/special-use-domain-names, and
// .internal, which ICANN set aside). All except .invalid may exist in a private network.
var special = []string{"alt", "home.arpa", "internal", "invalid", "local", "localhost", "onion", "test"}

// examples are for documentation (RFC 6761 section 6.5). Some of them resolve, but nobody reads their mail.
var examples = []string{"example", "example.com", "example.net", "example.org"}

// Canonical returns a host in the one spelling that names are compared in. Characters outside ASCII are mapped as net/http does it (a
// full-width digit is a digit). There are no capitals, and no dot at the end.
func Canonical(host string) string {
	return strings.TrimSuffix(ASCII(host), ".")
}

// ASCII returns a host as net/http would look it up, in lower case. A host that IDNA does not allow keeps its other letters: in lower case,
// some of them are allowed, and make the name of another host.
func ASCII(host string) string {
	if strings.ContainsFunc(host, func(c rune) bool { return c >= 0x80 }) {
		if ascii, err := idna.Lookup.ToASCII(host); err == nil {
			host = ascii
		}
	}
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, host)
}

// IsBelow reports whether a host in lower case equals a name or is below it.
func IsBelow(host, name string) bool {
	rest, ok := strings.CutSuffix(strings.TrimSuffix(host, "."), name)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}

// Special returns the special-use name that a host in lower case equals or is below; empty if there is none.
func Special(host string) string { return find(special, host) }

// IsExample reports whether a host in lower case is for documentation.
func IsExample(host string) bool { return find(examples, host) != "" }

func find(list []string, host string) string {
	for _, name := range list {
		if IsBelow(host, name) {
			return name
		}
	}
	return ""
}

// IsNumber reports whether inet_aton and browsers treat a host with this last label as an IPv4 address
// (https://url.spec.whatwg.org/#ends-in-a-number-checker). No top-level domain is a number.
func IsNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// Last returns the last label of a host without a dot at the end.
func Last(host string) string { return host[strings.LastIndexByte(host, '.')+1:] }

var (
	errAddress = errors.New("an address")
	errLabel   = errors.New("a name without a dot")
	errNoName  = errors.New("not a name")
)

// Public returns an error if a host, in whatever spelling, cannot be a name on the public internet. The error describes the host: an
// address, a single label, a special-use name, or not a name at all.
func Public(host string) error {
	host = Canonical(host)
	last := Last(host)
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || IsNumber(last) {
		return errAddress
	}
	if name := Special(host); name != "" {
		return fmt.Errorf("a name of .%s", name)
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return errNoName
		}
	}
	switch {
	case len(host) > 253:
		return errNoName
	case last == host:
		return errLabel
	}
	return nil
}
