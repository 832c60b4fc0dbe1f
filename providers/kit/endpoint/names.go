package endpoint

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/names"
)

// errNoSuchName means that, according to the resolver, a host's name does not exist or has no address. An outage of the resolver is
// another error.
var errNoSuchName = errors.New("the host's name does not exist")

// neverPublic reports whether a host's name itself shows that it is not on the public internet.
func neverPublic(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	last := names.Last(host)
	return last == host || names.IsNumber(last) || names.Special(host) != ""
}
