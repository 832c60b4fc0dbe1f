// Package endpoint is a client for URLs that users choose, such as the endpoints of Web Push and of webhooks. Anybody can have the gateway
// send to such a URL, so its [Client] is guarded: it connects to addresses of the public internet and to the private networks that the
// operator allows, follows no redirect, reads little of an answer, and has bounds for each host and each address. Its connections outlive
// configurations.
//
// A provider embeds [Options] in its module, makes a Client in Provision, calls [Client.Start] in Start and [Client.Close] in Cleanup. It
// parses a URL with [Parse], sends to it with [Client.Post], and makes an outcome of an error with [Failed]. [Outcome] classifies answers
// of Web Push (RFC 8030) and UnifiedPush servers; the provider classifies those of others.
//
// For a server that the operator names, there is kit/service, which has no guard.
//
// As long as the gateway's version is v0, the API may change between minor versions; the changelog says how.
package endpoint

import (
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// Options are the options that all providers have which send to URLs that users choose.
//
// With an `endpoint`, what the URL may be is checked all the same, and where it points to is not. With a `proxy`, it is the proxy that
// resolves names, and so the proxy that has to refuse private addresses.
type Options struct {
	network.Options

	// Private networks, as CIDR ranges or single addresses, in which endpoints may lie. An endpoint that resolves to any other
	// address that is not of the public internet is not contacted. An IPv4 address is also allowed as NAT64 writes it. Default: none.
	AllowPrivate []string `json:"allow_private,omitempty"`

	// The paths at which the push server of the site that a notification came in at may be, such as `/up*`: exact ones, or what begins with
	// what stands before a `*` at the end. A push to any other path of that site is not sent. Capitals count. Default: all paths.
	OwnPaths []string `json:"own_paths,omitempty"`
}

// settings are the options once resolved and checked.
type settings struct {
	*network.Settings
	allow []netip.Prefix
	paths ownPaths
}

// resolve reads and checks everything that the options name, and names the option that is wrong.
func (o *Options) resolve() (*settings, error) {
	resolved, err := o.Resolve()
	if err != nil {
		return nil, err
	}
	allow, err := prefixes(o.AllowPrivate)
	if err != nil {
		return nil, fmt.Errorf("allow_private: %w", err)
	}
	paths, err := parseOwnPaths(o.OwnPaths)
	if err != nil {
		return nil, fmt.Errorf("own_paths: %w", err)
	}
	return &settings{Settings: resolved, allow: allow, paths: paths}, nil
}

// key identifies the transports that the settings need: configurations with the same settings share them.
func (s *settings) key() string {
	return fmt.Sprint(s.Identity(), s.allow)
}

func prefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			addr, addrErr := netip.ParseAddr(s)
			if addrErr != nil {
				return nil, fmt.Errorf("%q is neither a CIDR range nor an address", s)
			}
			p = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// UnmarshalOption reads the option that the dispenser is at, and reports whether it is one of these.
func (o *Options) UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "allow_private":
		return true, more(d, &o.AllowPrivate)
	case "own_paths":
		return true, more(d, &o.OwnPaths)
	}
	return o.Options.UnmarshalOption(d)
}

// more reads an option's arguments, of which it has at least one.
func more(d *caddyfile.Dispenser, into *[]string) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	*into = append(*into, args...)
	return nil
}
