// Package upstream makes the requests to push servers that are named by users: through transports of its own that outlive
// configurations, guarded against reaching the operator's network, bounded in every direction, and classified by RFC 8030.
package upstream

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Options are the options that all providers have which send to URLs that users choose.
type Options struct {
	// Sends every push to this server (scheme, host and port) instead of the one the endpoint names, with the endpoint's own path
	// and query: a test double, or a relay. What the endpoint may be is checked all the same; where it points to is not. Placeholders
	// are allowed. Default: the endpoint's server.
	Endpoint string `json:"endpoint,omitempty"`

	// A PEM file of certificates that a push server's certificate may be issued by, besides the system's. Placeholders are
	// allowed. Default: the system's alone.
	TrustedCA string `json:"trusted_ca,omitempty"`

	// The HTTP proxy to send through: an http, https or socks5 URL, or `none`. Placeholders are allowed. With a proxy, it is the
	// proxy that resolves names, and so the proxy that has to refuse private addresses. Default: what the environment variables
	// HTTPS_PROXY and NO_PROXY say.
	Proxy string `json:"proxy,omitempty"`

	// Private networks, as CIDR ranges or single addresses, in which endpoints may lie. An endpoint that resolves to any other
	// address that is not of the public internet is not contacted. Default: none.
	AllowPrivate []string `json:"allow_private,omitempty"`
}

// settings are the options once resolved and checked.
type settings struct {
	endpoint *url.URL
	roots    *x509.CertPool // nil for the system's
	ca       []byte         // what roots was made from
	proxy    func(*url.URL) (*url.URL, error)
	proxyURL string
	allow    []netip.Prefix
}

// resolve reads and checks everything that the options name, and names the option that is wrong.
func (o *Options) resolve() (*settings, error) {
	var s settings
	var err error
	if s.endpoint, err = serverURL(o.Endpoint); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if s.roots, s.ca, err = trustedCA(o.TrustedCA); err != nil {
		return nil, fmt.Errorf("trusted_ca: %w", err)
	}
	if s.proxy, s.proxyURL, err = proxy(o.Proxy); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if s.allow, err = prefixes(o.AllowPrivate); err != nil {
		return nil, fmt.Errorf("allow_private: %w", err)
	}
	return &s, nil
}

// key identifies the transports that the settings need: configurations with the same settings share them.
func (s *settings) key() string {
	b, _ := json.Marshal(struct {
		CA    []byte
		Proxy string
		Allow []netip.Prefix
	}{s.ca, s.proxyURL, s.allow})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func serverURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	raw, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.RequestURI(), "/") != "" {
		return nil, errors.New("must be an https URL of a server, without a path")
	}
	return u, nil
}

func trustedCA(path string) (*x509.CertPool, []byte, error) {
	if path == "" {
		return nil, nil, nil
	}
	path, err := caddy.NewReplacer().ReplaceOrErr(path, true, true)
	if err != nil {
		return nil, nil, err
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	pool := systemRoots()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("%s has no PEM certificate", path)
	}
	return pool, pem, nil
}

// systemRoots are the system's certificates, or none where the system has none.
func systemRoots() *x509.CertPool {
	if pool, err := x509.SystemCertPool(); err == nil {
		return pool
	}
	return x509.NewCertPool()
}

func proxy(raw string) (func(*url.URL) (*url.URL, error), string, error) {
	if raw == "" {
		return func(u *url.URL) (*url.URL, error) { return http.ProxyFromEnvironment(&http.Request{URL: u}) }, "", nil
	}
	resolved, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err != nil {
		return nil, "", err
	}
	if resolved == "none" {
		return func(*url.URL) (*url.URL, error) { return nil, nil }, resolved, nil
	}
	u, err := url.Parse(resolved)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5") {
		return nil, "", errors.New("must be an http, https or socks5 URL, or none")
	}
	return func(*url.URL) (*url.URL, error) { return u, nil }, resolved, nil
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

// UnmarshalOption reads the option that the dispenser is at, and says whether it is one of these.
func (o *Options) UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "endpoint":
		return true, Once(d, &o.Endpoint)
	case "trusted_ca":
		return true, Once(d, &o.TrustedCA)
	case "proxy":
		return true, Once(d, &o.Proxy)
	case "allow_private":
		args := d.RemainingArgs()
		if len(args) == 0 {
			return true, d.ArgErr()
		}
		o.AllowPrivate = append(o.AllowPrivate, args...)
		return true, nil
	}
	return false, nil
}

// Once reads an option's one argument, and refuses an option that was given before.
func Once(d *caddyfile.Dispenser, into *string) error {
	name := d.Val()
	if *into != "" {
		return d.Errf("%s is given twice", name)
	}
	if !d.AllArgs(into) || *into == "" {
		return d.ArgErr()
	}
	return nil
}
