package sygnal

import (
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// servers are the gateway's, and that of the metrics.
func (s *section) servers() map[string]*server {
	h := s.sub("http")
	addresses, public := h.addresses()
	plaintext := h.plaintext(addresses, public)
	h.done()
	push := &server{
		Listen: addresses,
		Routes: []route{
			health(),
			handlers(handler{"handler": "matrix_push", "plaintext": plaintext}),
			handlers(respond(http.StatusNotFound)),
		},
		AutoHTTPS: autoHTTPS{Disable: true},
		Protocols: protocols,
		Logs:      new(struct{}),
	}
	if forwarded := s.log(); forwarded || public {
		push.TrustedProxies = &trustedProxies{Source: "static", Ranges: privateRanges}
	}
	servers := map[string]*server{"sygnal": push}
	if address := s.metrics(); address != "" {
		servers["sygnal_metrics"] = &server{
			Listen:    []string{address},
			Routes:    []route{handlers(handler{"handler": "metrics"})},
			AutoHTTPS: autoHTTPS{Disable: true},
			Protocols: protocols,
		}
	}
	return servers
}

// addresses are those to listen on, and whether one of them is not loopback.
func (s *section) addresses() (addresses []string, public bool) {
	const key = "bind_addresses"
	port := s.port(5000)
	hosts := s.texts(key)
	switch {
	case hosts == nil:
		hosts = []string{"127.0.0.1"}
	case len(hosts) == 0:
		s.fail(s.line(key), s.at(key), "it is empty: nothing would listen")
	}
	everywhere := slices.Contains(hosts, "::") // which is IPv4 as well
	for _, host := range hosts {
		s.checkHost(key, host)
		if everywhere && (host == "" || host == "0.0.0.0") {
			continue
		}
		address := listener(host, port)
		if slices.Contains(addresses, address) {
			s.fail(s.line(key), s.at(key), "%q is in it twice", host)
		}
		addresses = append(addresses, address)
		public = public || !isLoopback(host)
	}
	return addresses, public
}

// port is the key port: Sygnal makes a number of a text, too.
func (s *section) port(otherwise int) int {
	const key = "port"
	if m := s.value.member(key); m != nil && m.value.kind == text {
		if n, ok := new(big.Int).SetString(strings.TrimSpace(m.value.scalar.(string)), 10); ok {
			s.ignore(key)
			return s.bounded(key, n, 1, 65535)
		}
	}
	return s.number(key, 1, 65535, otherwise)
}

// host is one host to listen on.
func (s *section) host(key, otherwise string) string {
	if s.value.member(key) == nil {
		return otherwise
	}
	host := s.text(key)
	s.checkHost(key, host)
	return host
}

var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func (s *section) checkHost(key, host string) {
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !hostname.MatchString(host) {
		s.fail(s.line(key), s.at(key), "%q is neither an address nor a name", host)
	}
}

// listener is an address as Caddy takes it. Go would listen on IPv6 as well for 0.0.0.0, which Sygnal does not.
func listener(host string, port int) string {
	network := ""
	if host == "" || host == "0.0.0.0" {
		host, network = "0.0.0.0", "tcp4"
	}
	return caddy.JoinNetworkAddress(network, host, strconv.Itoa(port))
}

func isLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// plaintext is the handler's option for the addresses, with a warning that says what it means.
func (s *section) plaintext(addresses []string, public bool) string {
	const next = "Next: give the gateway its own domain in a Caddyfile, `push.example.org { matrix_push }`, so that Caddy gets the " +
		"certificate and nothing has to be in front of it: docs/sygnal.md"
	line, where := s.line("bind_addresses"), strings.Join(addresses, ", ")
	if !public {
		s.warn(line, s.at("bind_addresses"), "it listens without TLS on %s, and takes any request from this machine (plaintext allow), as "+
			"Sygnal does. "+next, where)
		return "allow"
	}
	s.warn(line, s.at("bind_addresses"), "it listens without TLS on %s, and believes a proxy alone that ends TLS (plaintext "+
		"trusted_proxy): a request is answered 403, unless it comes from a private address (trusted_proxies) and has the one header "+
		"X-Forwarded-Proto: https. Let your proxy set it, and let trusted_proxies be your proxy's address alone. A homeserver that "+
		"asked Sygnal without a proxy is answered 403, too. "+next, where)
	return "trusted_proxy"
}
