package network

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// proxySchemes are the schemes that net/http's transport knows. It lets the proxy resolve names for socks5 as for socks5h.
var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// proxy resolves the option. It returns the proxy function, and the resolved option as text.
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
	u, err := proxyURL(resolved)
	if err != nil {
		return nil, "", fmt.Errorf("must be an http, https, socks5 or socks5h URL, host:port, or none: %w", err)
	}
	return func(*url.URL) (*url.URL, error) { return u, nil }, u.String(), nil
}

// proxyURL accepts the values of HTTPS_PROXY (https://pkg.go.dev/golang.org/x/net/http/httpproxy), which reads a host without a scheme
// as an http URL. It refuses values that can never work, and a single word, which is probably a mistyped none. Errors contain no user
// information.
func proxyURL(raw string) (*url.URL, error) {
	bare := !strings.Contains(raw, "://")
	if bare {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil { // its text contains the whole URL
		return nil, errors.New("it is not a URL")
	}
	_, badPort := strconv.ParseUint(u.Port(), 10, 16)
	_, noAddress := netip.ParseAddr(u.Hostname())
	switch {
	case !slices.Contains(proxySchemes, u.Scheme):
		return nil, fmt.Errorf("the scheme is %q", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("the host is missing")
	case u.Port() == "0", u.Port() != "" && badPort != nil:
		return nil, fmt.Errorf("the port is %q", u.Port())
	case bare && u.User == nil && u.Port() == "" && noAddress != nil && !strings.Contains(u.Host, "."):
		return nil, fmt.Errorf("%q has neither a scheme nor a port", u.Host)
	case strings.HasPrefix(u.Scheme, "socks5") && u.User != nil && !isSOCKSUser(u.User):
		return nil, errors.New("SOCKS5 users and passwords must have 1 to 255 bytes") // RFC 1929 section 2
	}
	return u, nil
}

// isSOCKSUser reports whether net/http can log in with the user information. net/http accepts an empty password.
func isSOCKSUser(user *url.Userinfo) bool {
	password, _ := user.Password()
	return user.Username() != "" && len(user.Username()) <= 255 && len(password) <= 255
}
