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
	// unprovenConnections is how many connections to one address there may be at a time on which no push was taken yet.
	unprovenConnections = 64
	// connectRate and connectBurst bound how often an address is connected to: so many times a second, and so many at once.
	connectRate, connectBurst = 16, 64
	// provenFactor is how much more often an address that takes pushes may be connected to.
	provenFactor = 16
	// provenTime is for how long a push that was taken speaks for where it went.
	provenTime = time.Hour
	// proveEvery is how often that is noted for one connection.
	proveEvery = time.Minute

	// maxAddresses and maxProven bound what is remembered of addresses without connections, and of hosts at addresses that took a push.
	maxAddresses, maxProven = 8192, 8192
)

// errAddressBusy says that too many connections are made to an address.
var errAddressBusy = errors.New("too many connections to the host's address")

// addresses bounds the connections to each address, whatever names lead there: anyone can have any number of names lead to anyone's address.
//
// A connection counts from when it is dialled until it is closed, or a push was taken on it. So many honest hosts that share an address, as
// behind a CDN, are not bounded together; and a host that lately took a push there has a rate of its own, and its connections do not count.
// Connections that count and carry nothing give way to new ones.
//
// It is one for all apps and configurations of the process, and is safe for concurrent use.
type addresses struct {
	now  func() time.Time
	seed maphash.Seed

	mu sync.Mutex
	// busy are the addresses with connections that count, and quiet the others, as far as they are remembered.
	busy  map[netip.Prefix]*address
	quiet *simplelru.LRU[netip.Prefix, *address]
	// proven are hosts that took a push at an address.
	proven *simplelru.LRU[place, *proof]
}

// address is what is known of an address.
type address struct {
	counting map[*connection]struct{}
	bucket   *rate.Limiter
	proven   time.Time // when it last took a push
}

// place is a host at an address.
type place struct {
	at   netip.Prefix
	host uint64 // a hash
}

// proof is that a host took a push at an address.
type proof struct {
	bucket *rate.Limiter
	at     time.Time
}

func newAddresses(now func() time.Time) *addresses {
	a := &addresses{now: now, seed: maphash.MakeSeed(), busy: make(map[netip.Prefix]*address)}
	a.quiet, _ = simplelru.NewLRU[netip.Prefix, *address](maxAddresses, nil) // fails for a size that is not positive
	a.proven, _ = simplelru.NewLRU[place, *proof](maxProven, nil)
	return a
}

// Destruct is called when no configuration uses it any more.
func (a *addresses) Destruct() error { return nil }

// block is what counts as one address: of IPv6, the network that everybody gets at least. All of IPv4 is in one such network of NAT64's.
func block(ip netip.Addr) netip.Prefix {
	ip = nat64.Unwrap(ip)
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // the bits fit
	return p
}

// connection is one that is dialled or made. It counts until it is closed or took a push.
type connection struct {
	net.Conn // nil while it is dialled

	table   *addresses
	where   place
	free    atomic.Bool  // it does not count, or not any more
	noted   atomic.Int64 // when it was last noted that it took a push, in nanoseconds
	address *address

	// The table's lock guards these: when the connection was made, whether it carried a request, and how many it carries.
	since time.Time
	used  bool
	users int
}

// dial asks whether a host at an address may be connected to now, and counts the connection if so.
func (a *addresses) dial(host string, ip netip.Addr) (*connection, error) {
	c := &connection{table: a, where: place{block(ip), maphash.String(a.seed, host)}}
	now := a.now()
	a.mu.Lock()
	idle, err := a.admit(c, now)
	a.mu.Unlock()
	if idle != nil {
		_ = idle.Conn.Close() // it is out of the count already
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// admit counts a connection if it may be made, and returns the one that gives way to it, if one has to. The caller holds mu.
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

// at is what is known of an address. The caller holds mu.
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

// rate sets the address's rate back once its proof is too old.
func (at *address) rate(now time.Time) {
	if at.bucket.Burst() > connectBurst && now.Sub(at.proven) >= provenTime {
		at.bucket = rate.NewLimiter(connectRate, connectBurst)
	}
}

// idle is a connection that counts and carries nothing; nil if there is none. One on which TLS is agreed upon does not carry a request yet.
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

// use is called when the connection is to carry a request, and leave when that has ended.
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

// took is called when a push was taken on the connection.
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

// discount takes the connection out of the count.
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

// Close closes the connection, which does not count any more.
func (c *connection) Close() error {
	c.discount()
	return c.Conn.Close()
}
