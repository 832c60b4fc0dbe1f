package e2e

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// resolver is the address of a DNS server that the process asks instead of the system's.
const resolver = "CADDY_MATRIX_PUSH_E2E_RESOLVER"

// useResolver makes a test binary that runs as Caddy use the resolver. It does not change what the gateway does with a name's addresses.
func useResolver() {
	server := os.Getenv(resolver)
	if server == "" {
		return
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
}

// records has the addresses of a name, of both families, or another name that has them.
type records struct {
	cname     string
	addresses []string
}

// nameserver answers for the names that a test gives it, over UDP on loopback.
type nameserver struct {
	conn net.PacketConn

	mu    sync.Mutex
	names map[string][]records // used in turn; the last one stays
	asked map[string]int       // queries for IPv4 addresses
	// otherwise has the records of all other names. If it is empty, they do not exist.
	otherwise []string
	// dns64 means that names without an IPv6 address get a NAT64 address for each IPv4 address (RFC 6147 section 5.1), including private
	// ones. BIND does that by default, despite RFC 6052 section 3.1.
	dns64 bool
}

func newNameserver(t *testing.T) *nameserver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameserver{conn: conn, names: make(map[string][]records), asked: make(map[string]int)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			if answer, err := s.answer(query[:n]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return s
}

// set gives a name addresses: the first list for the first query, the second for the next.
func (s *nameserver) set(name string, inTurn ...[]string) {
	var list []records
	for _, addresses := range inTurn {
		list = append(list, records{addresses: addresses})
	}
	s.add(name, list...)
}

func (s *nameserver) add(name string, inTurn ...records) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name+"."] = inTurn
}

// setOthers gives all other names addresses.
func (s *nameserver) setOthers(addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.otherwise = addresses
}

// useDNS64 sets dns64.
func (s *nameserver) useDNS64() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dns64 = true
}

// find returns the records of a name for the next query, including those that DNS64 makes.
func (s *nameserver) find(q dnsmessage.Question) (records, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.next(q)
	if s.dns64 {
		found.addresses = withNAT64(found.addresses)
	}
	return found, ok
}

func (s *nameserver) next(q dnsmessage.Question) (records, bool) {
	name := strings.ToLower(q.Name.String())
	list, ok := s.names[name]
	if !ok {
		return records{addresses: s.otherwise}, len(s.otherwise) > 0
	}
	turn := min(s.asked[name], len(list)-1)
	if q.Type == dnsmessage.TypeA {
		s.asked[name]++
	}
	return list[turn], true
}

func (s *nameserver) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	found, ok := s.find(q)
	header.Response, header.RecursionAvailable = true, true
	if !ok {
		header.RCode = dnsmessage.RCodeNameError
	}
	m := dnsmessage.Message{Header: header, Questions: []dnsmessage.Question{q}}
	owner := q.Name
	if found.cname != "" {
		owner = dnsmessage.MustNewName(found.cname)
		m.Answers = append(m.Answers, resource(q.Name, &dnsmessage.CNAMEResource{CNAME: owner}))
	}
	for _, address := range found.addresses {
		switch ip := netip.MustParseAddr(address); {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, resource(owner, &dnsmessage.AResource{A: ip.As4()}))
		case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, resource(owner, &dnsmessage.AAAAResource{AAAA: ip.As16()}))
		}
	}
	return m.Pack()
}

// withNAT64 adds the addresses that DNS64 makes from a name's addresses.
func withNAT64(addresses []string) []string {
	if slices.ContainsFunc(addresses, func(a string) bool { return netip.MustParseAddr(a).Is6() }) {
		return addresses
	}
	all := slices.Clone(addresses)
	for _, address := range addresses {
		all = append(all, "64:ff9b::"+address)
	}
	return all
}

func resource(name dnsmessage.Name, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET}, Body: body}
}
