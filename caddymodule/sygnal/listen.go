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

// servers returns the gateway's server, and the metrics server if there is one.
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

// addresses returns the addresses to listen on, and whether one of them is not a loopback address.
func (s *section) addresses() (addresses []string, public bool) {
	const key = "bind_addresses"
	port := s.port(5000)
	hosts := s.texts(key)
	switch {
	case hosts == nil:
		hosts = []string{"127.0.0.1"}
	case len(hosts) == 0:
		s.fail(s.line(key), s.at(key), "is empty: name at least one address")
	}
	everywhere := slices.Contains(hosts, "::") // includes IPv4
	for _, host := range hosts {
		s.checkHost(key, host)
		if everywhere && (host == "" || host == "0.0.0.0") {
			continue
		}
		address := listener(host, port)
		if slices.Contains(addresses, address) {
			s.fail(s.line(key), s.at(key), "%q is listed twice", host)
		}
		addresses = append(addresses, address)
		public = public || !isLoopback(host)
	}
	return addresses, public
}

// port reads the key port. Like Sygnal, it accepts a number in a string.
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

// host reads a host to listen on.
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
		s.fail(s.line(key), s.at(key), "%q is neither an IP address nor a host name", host)
	}
}

// listener returns an address in Caddy's format. For 0.0.0.0, Go would also listen on IPv6, which Sygnal does not.
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

// plaintext returns the handler's option for the addresses, and warns what it means.
func (s *section) plaintext(addresses []string, public bool) string {
	const next = "Next: give the gateway its own domain in a Caddyfile, `push.example.org { matrix_push }`, so Caddy gets the " +
		"certificate and needs no proxy in front: docs/sygnal.md"
	line, where := s.line("bind_addresses"), strings.Join(addresses, ", ")
	if !public {
		s.warn(line, s.at("bind_addresses"), "listens without TLS on %s, and accepts any request from this machine (plaintext allow), as "+
			"Sygnal does. "+next, where)
		return "allow"
	}
	s.warn(line, s.at("bind_addresses"), "listens without TLS on %s, and accepts only requests from a proxy that ends TLS (plaintext "+
		"trusted_proxy). A request gets 403 unless it comes from a private address (trusted_proxies) with "+
		"X-Forwarded-Proto: https and no other value. Make your proxy set it, and reduce trusted_proxies to your proxy's address. "+
		"A homeserver that used Sygnal without a proxy gets 403, too. "+next, where)
	return "trusted_proxy"
}
