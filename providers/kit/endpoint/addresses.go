package endpoint

import (
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/matrix-push/caddy-matrix-push/internal/nat64"
)

const (
	// unprovenConnections is how many connections to one address may be open that have not delivered a push yet.
	unprovenConnections = 64
	// connectRate and connectBurst limit how often an address is connected to: so many times a second, and so many at once.
	connectRate, connectBurst = 16, 64
	// provenFactor is how much higher these limits are for an address that accepts pushes.
	provenFactor = 16
	// provenTime is how long an accepted push proves the host and address good.
	provenTime = time.Hour
	// proveEvery is how often accepted pushes are recorded for one connection.
	proveEvery = time.Minute

	// maxAddresses and maxProven limit how many addresses without connections are remembered, and how many hosts that accepted a push.
	maxAddresses, maxProven = 8192, 8192
)

// errAddressBusy means that there are too many connections to an address.
var errAddressBusy = errors.New("too many connections to the host's address")

// addresses limits the connections to each address, whatever names lead to it: anyone can point any number of names at anyone's
// address.
//
// A connection counts from when it is dialled until it is closed, or until a push was accepted on it. So many honest hosts that share
// an address, as behind a CDN, do not share a limit. A host that recently accepted a push at the address has a separate rate, and its
// connections do not count. Connections that count and carry no request give way to new ones.
//
// All apps and configurations of the process share one. It is safe for concurrent use.
type addresses struct {
	now  func() time.Time
	seed maphash.Seed

	mu sync.Mutex
	// busy are the addresses with connections that count. quiet are the others that are still remembered.
	busy  map[netip.Prefix]*address
	quiet *simplelru.LRU[netip.Prefix, *address]
	// proven are the hosts that accepted a push, by address.
	proven *simplelru.LRU[place, *proof]
}

// address is the state of one address.
type address struct {
	counting map[*connection]struct{}
	bucket   *rate.Limiter
	proven   time.Time // when it last accepted a push
}

// place is a host at an address.
type place struct {
	at   netip.Prefix
	host uint64 // a hash
}

// proof is proof that a host accepted a push at an address.
type proof struct {
	bucket *rate.Limiter
	at     time.Time
}

func newAddresses(now func() time.Time) *addresses {
	a := &addresses{now: now, seed: maphash.MakeSeed(), busy: make(map[netip.Prefix]*address)}
	a.quiet, _ = simplelru.NewLRU[netip.Prefix, *address](maxAddresses, nil) // fails only for a size that is not positive
	a.proven, _ = simplelru.NewLRU[place, *proof](maxProven, nil)
	return a
}

// Destruct is called when no configuration uses it any more.
func (a *addresses) Destruct() error { return nil }

// block returns what counts as one address. For IPv6, that is a /64 network, the least that everybody gets. An address in a NAT64
// network counts as the IPv4 address in it, since the whole of IPv4 is in one such network.
func block(ip netip.Addr) netip.Prefix {
	ip = nat64.Unwrap(ip)
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // the bits fit
	return p
}

// connection is a connection that is being dialled or is open. It counts until it is closed or has accepted a push.
type connection struct {
	net.Conn // nil while it is being dialled

	table   *addresses
	where   place
	free    atomic.Bool  // it does not count, or no longer counts
	noted   atomic.Int64 // when an accepted push was last recorded, in nanoseconds
	address *address

	// The table's lock guards these: when the connection was made, whether it ever carried a request, and how many it carries now.
	since time.Time
	used  bool
	users int
}

// dial counts a new connection to a host at an address, or returns an error if it may not be made now.
func (a *addresses) dial(host string, ip netip.Addr) (*connection, error) {
	c := &connection{table: a, where: place{block(ip), maphash.String(a.seed, host)}}
	now := a.now()
	a.mu.Lock()
	idle, err := a.admit(c, now)
	a.mu.Unlock()
	if idle != nil {
		_ = idle.Conn.Close() // it no longer counts
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// admit counts a connection if it may be made. It returns the connection that must give way to it, if any. The caller holds mu.
func (a *addresses) admit(c *connection, now time.Time) (idle *connection, err error) {
	if p, ok := a.proven.Get(c.where); ok && now.Sub(p.at) < provenTime {
		if !p.bucket.AllowN(now, 1) {
			return nil, errAddressBusy
		}
		c.free.Store(true)
		return nil, nil
	}
	at := a.at(c.where.at)
	if len(at.counting) >= unprovenConnections {
		if idle = at.idle(now); idle == nil {
			return nil, errAddressBusy
		}
	}
	if at.rate(now); !at.bucket.AllowN(now, 1) {
		return nil, errAddressBusy
	}
	if idle != nil {
		idle.free.Store(true)
		delete(at.counting, idle)
	}
	c.address = at
	at.counting[c] = struct{}{}
	a.quiet.Remove(c.where.at)
	a.busy[c.where.at] = at
	return idle, nil
}

// at returns the state of an address. The caller holds mu.
func (a *addresses) at(p netip.Prefix) *address {
	if at, ok := a.busy[p]; ok {
		return at
	}
	if at, ok := a.quiet.Get(p); ok {
		return at
	}
	at := &address{counting: make(map[*connection]struct{}), bucket: rate.NewLimiter(connectRate, connectBurst)}
	a.quiet.Add(p, at)
	return at
}

// rate resets the address's limits once its proof is too old.
func (at *address) rate(now time.Time) {
	if at.bucket.Burst() > connectBurst && now.Sub(at.proven) >= provenTime {
		at.bucket = rate.NewLimiter(connectRate, connectBurst)
	}
}

// idle returns a connection that counts and carries no request; nil if there is none. During its TLS handshake, a connection has no
// request yet, but is not idle.
func (at *address) idle(now time.Time) *connection {
	for c := range at.counting {
		if c.Conn != nil && c.users == 0 && (c.used || now.Sub(c.since) > handshakeTimeout) {
			return c
		}
	}
	return nil
}

// made is called when the connection was made.
func (c *connection) made(conn net.Conn) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.Conn, c.since = conn, c.table.now()
}

// use is called when the connection is about to carry a request, and leave when the request has ended.
func (c *connection) use()   { c.carry(1) }
func (c *connection) leave() { c.carry(-1) }

func (c *connection) carry(n int) {
	if c.free.Load() {
		return
	}
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.users, c.used = c.users+n, true
}

// took is called when a push was accepted on the connection.
func (c *connection) took() {
	now := c.table.now()
	if noted := c.noted.Load(); noted != 0 && now.UnixNano()-noted < int64(proveEvery) {
		return
	}
	c.noted.Store(now.UnixNano())
	c.discount()
	a := c.table
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.at(c.where.at)
	if at.proven = now; at.bucket.Burst() == connectBurst {
		at.bucket = rate.NewLimiter(provenFactor*connectRate, provenFactor*connectBurst)
	}
	if p, ok := a.proven.Get(c.where); ok {
		p.at = now
	} else {
		a.proven.Add(c.where, &proof{rate.NewLimiter(provenFactor*connectRate, provenFactor*connectBurst), now})
	}
}

// discount stops counting the connection.
func (c *connection) discount() {
	if c.free.Swap(true) {
		return
	}
	a := c.table
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(c.address.counting, c)
	if len(c.address.counting) == 0 && a.busy[c.where.at] == c.address {
		delete(a.busy, c.where.at)
		a.quiet.Add(c.where.at, c.address)
	}
}

// Close closes the connection, which then no longer counts.
func (c *connection) Close() error {
	c.discount()
	return c.Conn.Close()
}
