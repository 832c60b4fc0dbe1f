// Package endpoint is a client for URLs that users choose, such as the endpoints of Web Push and of webhooks. Anybody can make the
// gateway send to such a URL, so its [Client] is guarded. It connects only to addresses of the public internet and to the private
// networks that the operator allows. It follows no redirect, reads only a little of an answer, and has limits for each host and each
// address. Its connections outlive configurations.
//
// A provider embeds [Options] in its module, makes a Client in Provision, calls [Client.Start] in Start and [Client.Close] in Cleanup.
// It parses a URL with [Parse], sends to it with [Client.Post], and turns an error into an outcome with [Failed]. [Outcome] classifies
// answers of Web Push (RFC 8030) and UnifiedPush servers. For other servers, the provider classifies the answers.
//
// For a server that the operator chooses, use kit/service, which has no guard.
//
// As long as the gateway's version is v0, the API may change between minor versions. The changelog describes each change.
package endpoint

import (
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// Options are the options of all providers that send to URLs that users choose.
//
// With an `endpoint`, the form of the URL is still checked, but not the address that it leads to. With a `proxy`, the proxy resolves
// names, so the proxy must refuse private addresses.
type Options struct {
	network.Options

	// Private networks that may contain push servers: a list of CIDR ranges or single addresses. If an endpoint's name resolves to any other
	// address outside the public internet, the gateway does not connect to it. An IPv4 address in the list also allows its NAT64 form.
	// Default: none.
	AllowPrivate []string `json:"allow_private,omitempty"`

	// The paths of your own push server, such as `/up*`, if it is on the same site as the gateway. If a device's endpoint is on the site that
	// received the notification, the gateway sends the push only if the endpoint's path is in this list. A path matches exactly, or as a
	// prefix if it ends with `*`. Matching is case-sensitive. Default: all paths.
	OwnPaths []string `json:"own_paths,omitempty"`
}

// settings are the resolved and checked options.
type settings struct {
	*network.Settings
	allow []netip.Prefix
	paths ownPaths
}

// resolve reads and checks the options. An error names the option that is wrong.
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

// key identifies the transports that the settings need. Configurations with the same settings share them.
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
				return nil, fmt.Errorf("%q is neither a CIDR range such as 10.0.0.0/8 nor an address", s)
			}
			p = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// UnmarshalOption reads the option at the dispenser's position, and reports whether it is one of these.
func (o *Options) UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "allow_private":
		return true, caddyfileopt.Texts(&o.AllowPrivate, "<range> …, such as 10.0.0.0/8")(d)
	case "own_paths":
		return true, caddyfileopt.Texts(&o.OwnPaths, "<path> …, such as /up*")(d)
	}
	return o.Options.UnmarshalOption(d)
}
