package upstream

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// errNoSuchName means that the resolver knows a host's name not to exist, or to have no address. An outage of the resolver is another error.
var errNoSuchName = errors.New("the host's name does not exist")

// specialNames are the ends of names that are not in the public DNS (https://www.iana.org/assignments/special-use-domain-names, and
// .internal, which ICANN set aside). Each may well be one in a private network.
var specialNames = []string{"alt", "home.arpa", "internal", "local", "localhost", "onion", "test"}

// neverPublic reports whether a host shows by its name alone that it is not on the public internet.
func neverPublic(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last == host || isNumber(last) || slices.ContainsFunc(specialNames, func(end string) bool { return isBelow(host, end) })
}

// isBelow reports whether a host in lower case is a name or below it.
func isBelow(host, name string) bool {
	rest, ok := strings.CutSuffix(strings.TrimSuffix(host, "."), name)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}
