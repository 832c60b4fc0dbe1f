// Package network is for every provider that sends requests. It has the options endpoint, trusted_ca and proxy, and classifies errors
// of requests.
//
// A provider embeds [Options] in its module and reads its Caddyfile block with [Unmarshal]. In Provision, it makes a client from the
// options, with kit/service. A provider that sends to URLs that users choose embeds the Options of kit/endpoint instead, which include
// these. Either way, [Failed] turns an error into an outcome without secrets: an error of net/http contains the URL.
//
// As long as the gateway's version is v0, the API may change between minor versions. The changelog describes each change.
package network

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/internal/optionfile"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/roots"
)

// Options are the network options that every provider has.
type Options struct {
	// The URL of a server to which all requests are sent in place of the push service's own server. It can be a test server or a relay. The
	// URL must be an https URL with only scheme, host and port. The paths of the requests stay the same. Placeholders are allowed. Default:
	// the push service's own server.
	Endpoint string `json:"endpoint,omitempty"`

	// A PEM file with additional certificate authorities. The provider trusts these as well as the system's. Placeholders are allowed.
	// Default: only the system's certificate authorities.
	TrustedCA string `json:"trusted_ca,omitempty"`

	// The proxy that requests to the push service go through: an http, https, socks5 or socks5h URL, or `host:port` of an http proxy. `none`
	// means no proxy. The proxy, not the gateway, resolves the push servers' names, even with `socks5`. Placeholders are allowed. Default: the
	// proxy in the environment variables HTTPS_PROXY and NO_PROXY.
	Proxy string `json:"proxy,omitempty"`
}

// Settings are the resolved and checked options: see [Options.Resolve].
type Settings struct {
	// Endpoint is the server to send to; nil for the push service's own.
	Endpoint *url.URL
	// Roots are the certificate authorities to trust; nil for the system's.
	Roots *x509.CertPool
	// Proxy returns the proxy for a URL; nil for none.
	Proxy func(*url.URL) (*url.URL, error)

	ca       []byte // what Roots was made from
	proxyURL string // what Proxy was made from
}

// Resolve reads and checks the options. An error names the option that is wrong. A nil Options is the same as an empty one.
func (o *Options) Resolve() (*Settings, error) {
	if o == nil {
		o = new(Options)
	}
	var s Settings
	var err error
	if s.Endpoint, err = serverURL(o.Endpoint); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if s.Roots, s.ca, err = trustedCA(o.TrustedCA); err != nil {
		return nil, fmt.Errorf("trusted_ca: %w", err)
	}
	if s.Proxy, s.proxyURL, err = proxy(o.Proxy); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return &s, nil
}

// TLS returns the TLS configuration for a client.
func (s *Settings) TLS() *tls.Config {
	return &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
}

// Identity returns a text that is equal for settings that may share a connection to the same server, and differs otherwise.
func (s *Settings) Identity() string {
	sum := sha256.Sum256(append([]byte(s.proxyURL+"\x00"), s.ca...))
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
		return nil, errors.New("must be an https URL without a path, such as https://push.example.org:8443")
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
	pem, err := optionfile.Read(path)
	if err != nil {
		return nil, nil, err
	}
	pool := roots.System()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("%s has no PEM certificate: write the path of a file that begins with -----BEGIN CERTIFICATE-----", path)
	}
	return pool, pem, nil
}

// UnmarshalOption reads the option at the dispenser's position, and reports whether it is one of these. An option that is given twice
// is an error.
func (o *Options) UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "endpoint":
		return true, Once(d, &o.Endpoint)
	case "trusted_ca":
		return true, Once(d, &o.TrustedCA)
	case "proxy":
		return true, Once(d, &o.Proxy)
	}
	return false, nil
}

// Unmarshal reads a provider's name and block. The block may have the provider's own options, given by name, with one argument each,
// and those of the embedded options, such as [Options] or kit/endpoint's. An option that is unknown or given twice is an error.
func Unmarshal(d *caddyfile.Dispenser, embedded interface {
	UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error)
}, own map[string]*string,
) error {
	d.Next() // the provider's name
	name := d.Val()
	if err := caddyfileopt.NoArgs(d); err != nil {
		return err
	}
	options := make(map[string]caddyfileopt.Option, len(own))
	for option, into := range own {
		options[option] = caddyfileopt.Text(into)
	}
	return caddyfileopt.Block(d, options, caddyfileopt.Embedded(name, embedded))
}

// Once reads the single argument of an option. It is an error if the option was given before.
func Once(d *caddyfile.Dispenser, into *string) error { return caddyfileopt.Text(into)(d) }
