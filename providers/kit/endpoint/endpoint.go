package endpoint

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/names"
)

// Parse parses an endpoint's URL by RFC 8030 and the gateway's rules. In the result, a host and port have only one spelling, however
// the URL wrote them. Otherwise, each spelling would get a separate share of a host's limit, and a check could see another host than
// the one that is connected to. The error does not contain the URL.
func Parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https":
		return nil, errors.New("not an https URL")
	case u.Hostname() == "" || u.Opaque != "" || isHalfAddress(u):
		return nil, errors.New("a URL without a host")
	case u.User != nil:
		return nil, errors.New("a URL with user information")
	}
	host, port := canonicalHost(u.Hostname()), portOf(u)
	if names.IsBelow(host, "invalid") { // RFC 6761 section 6.4
		return nil, errors.New("a URL with a name below .invalid, which cannot exist")
	}
	if len(port) > 1 && port[0] == '0' {
		port = "0" + strings.TrimLeft(port, "0")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, errors.New("a URL with an impossible port")
	}
	switch {
	case n != 443:
		u.Host = net.JoinHostPort(host, strconv.FormatUint(n, 10))
	case strings.Contains(host, ":"):
		u.Host = "[" + host + "]"
	default:
		u.Host = host
	}
	u.Fragment, u.RawFragment = "", ""
	u.RawQuery = strings.ReplaceAll(u.RawQuery, " ", "%20") // net/http would copy it into the request line
	return u, nil
}

// isHalfAddress reports whether a host is neither a name nor an address, although net/url accepts it: half an IPv6 address, or one with
// a zone that cannot be written into a request.
func isHalfAddress(u *url.URL) bool {
	if !strings.ContainsAny(u.Hostname(), "[]%") {
		return false
	}
	_, err := url.Parse(u.String())
	return err != nil || strings.ContainsAny(u.Hostname(), "[]")
}

// canonicalHost returns the single spelling of all hosts for which net/http would connect to the same one. Non-ASCII characters are
// mapped as net/http does (a full-width digit is a digit), and letters are lower-case. An IPv6 address is written as in RFC 5952, or as
// the IPv4 address that is mapped in it. A NAT64 address stays as it is: an IPv6-only host could not connect to the IPv4 address in it.
func canonicalHost(host string) string {
	host = names.ASCII(host)
	if strings.Contains(host, ":") {
		if ip, err := netip.ParseAddr(host); err == nil {
			return ip.Unmap().String()
		}
	}
	return host
}

// Host returns the host and port of an endpoint, which identify its server. It is empty if the endpoint is not valid.
func Host(raw string) string {
	u, err := Parse(raw)
	if err != nil {
		return ""
	}
	return hostName(u)
}

// Target returns where a request to an endpoint goes, in one spelling: the host, the port, the path and the query. It is empty if the
// endpoint is not valid. A provider's Target may return it.
func Target(raw string) string {
	u, err := Parse(raw)
	if err != nil {
		return ""
	}
	return TargetOf(u)
}

// TargetOf is [Target] for an endpoint that [Parse] returned.
func TargetOf(endpoint *url.URL) string { return hostName(endpoint) + endpoint.RequestURI() }

// hostName returns the same name for all spellings of a host, so none of them gets a separate share.
func hostName(u *url.URL) string {
	return net.JoinHostPort(strings.TrimSuffix(canonicalHost(u.Hostname()), "."), portOf(u))
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return "443"
}
