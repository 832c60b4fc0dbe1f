package gateway

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// maxStrange, maxDown and maxKnown bound the hosts of an app that are remembered: those that never took a push, those of them that the
	// breaker opened for, and those that did. Devices choose them, so anyone can make up any number of the first two kinds. A host takes
	// some 500 bytes.
	maxStrange = 4096
	maxDown    = 4096
	maxKnown   = 16384
	// maxTrusted is how many devices a host remembers as delivered to, and how many of those that it kept waiting: one of them is best for a
	// trial.
	maxTrusted = 4
)

// hosts is what is known of the hosts that an app's pushes go to, in a bounded table: whether they work, when they last took a push, and
// whether their rejections are believed. It outlives configurations, and is safe for concurrent use.
type hosts struct {
	mu sync.Mutex
	// single is where all pushes go that have no host of their own.
	single *host
	// tiers are the strange, the down and the known hosts: each gives way to others of its own tier only.
	tiers [tiers]*simplelru.LRU[string, *host]

	open   map[string]*host // whose breaker is open
	opens  atomic.Int64     // how many
	opened chan struct{}    // gets one when a breaker has opened

	paused map[string]*host // that throttle the gateway
	wrong  wrongKeys

	health health

	flying atomic.Int64 // attempts under way, those that wait for their turn included
}

// tier is how much a host is worth remembering.
type tier int

const (
	strange tier = iota
	down
	known
	tiers
)

// host is what is known of a host. The table's lock guards it.
type host struct {
	name    string
	breaker breaker
	moving  bool // from a tier to a higher one
	// delivered is when it last took a push, latest for which device, and other when it last took one for any other device.
	delivered, other time.Time
	latest           rejected.Key
	// trusted are devices that it took pushes for, and wanting are such whose latest push failed, or was kept off.
	trusted, wanting latest
	// proof is the load of the app's with which it last took a push, and refused are distinct devices whose pushes it refused with the load
	// refusing, with 401 or 403: whether the fault is the operator's key, or those devices'.
	proof, refusing int64
	refused         distinct
	// pauses are those of a host that throttles the gateway; nil if it never did.
	pauses *pauses
	// witnessed is when other gateways were last told of a delivery.
	witnessed time.Time
}

func newHosts() *hosts {
	h := &hosts{single: &host{}, open: make(map[string]*host), paused: make(map[string]*host), opened: make(chan struct{}, 1)}
	for i, size := range [tiers]int{maxStrange, maxDown, maxKnown} {
		lru, err := simplelru.NewLRU(size, h.evicted)
		if err != nil {
			panic(err) // the size is not positive
		}
		h.tiers[i] = lru
	}
	return h
}

// evicted forgets a host whose place another one needs, and not one that moves up. The pushes that it keeps off become due by themselves.
func (h *hosts) evicted(name string, gone *host) {
	if h.open[name] == gone && !gone.moving {
		delete(h.open, name)
		h.opens.Add(-1)
	}
	if h.paused[name] == gone && !gone.moving {
		delete(h.paused, name)
	}
}

// of is the host with a name, which is empty where all pushes of the app go to the same service. The caller holds mu.
func (h *hosts) of(name string) *host {
	if name == "" {
		return h.single
	}
	for _, lru := range h.tiers {
		if found, ok := lru.Get(name); ok {
			return found
		}
	}
	made := &host{name: name, breaker: breaker{chosen: true}}
	h.tiers[strange].Add(name, made)
	return made
}

// find is a host of which something is known; nil if nothing is. The caller holds mu.
func (h *hosts) find(name string) *host {
	if name == "" {
		return h.single
	}
	for _, lru := range h.tiers {
		if found, ok := lru.Peek(name); ok {
			return found
		}
	}
	return nil
}

// keep has a host remembered as of a tier, or of the higher one that it is in. The caller holds mu.
func (h *hosts) keep(one *host, as tier) {
	if one.name == "" {
		return
	}
	for _, lru := range h.tiers[as:] {
		if _, ok := lru.Peek(one.name); ok {
			return
		}
	}
	one.moving = true
	for _, lru := range h.tiers[:as] {
		lru.Remove(one.name)
	}
	one.moving = false
	h.tiers[as].Add(one.name, one)
}

// opening notes that a breaker has opened. The caller holds mu.
func (h *hosts) opening(one *host) {
	h.keep(one, down)
	if _, ok := h.open[one.name]; !ok {
		h.opens.Add(1)
	}
	h.open[one.name] = one
	select {
	case h.opened <- struct{}{}:
	default:
	}
}

// took notes that a host took a device's push.
func (o *host) took(k rejected.Key, now time.Time) {
	if o.latest != k {
		o.latest, o.other = k, o.delivered
	}
	o.delivered = now
	o.trusted.add(k)
}

// latest are the latest few devices of some.
type latest struct {
	keys   [maxTrusted]rejected.Key
	newest int
}

func (l *latest) add(k rejected.Key) {
	if slices.Contains(l.keys[:], k) {
		return
	}
	l.newest = (l.newest + 1) % maxTrusted
	l.keys[l.newest] = k
}

// all are the devices, the latest first.
func (l *latest) all() (keys []rejected.Key) {
	for i := range maxTrusted {
		if k := l.keys[(l.newest-i+maxTrusted)%maxTrusted]; k != (rejected.Key{}) {
			keys = append(keys, k)
		}
	}
	return keys
}

// isOpen reports whether a host's pushes are kept off.
func (h *hosts) isOpen(name string) bool {
	if h.opens.Load() == 0 {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.open[name]
	return ok
}

// tookPush reports whether a host that devices chose is known to have taken a push.
func (h *hosts) tookPush(name string) bool {
	if name == "" {
		return true // it is the operator's choice
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.find(name)
	return one != nil && !one.delivered.IsZero()
}

// blames reports whether what a host refuses is the operator's fault. Where devices choose the host, a subscription that was made for
// another key is a matter of its device, unless several are refused and none was delivered to with the current settings.
func (h *hosts) blames(name string, load int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.find(name)
	return name == "" || one != nil && one.refusing == load && one.refused.n == witnesses && one.proof != load
}

// witnessEvery is how often other gateways are told that a host took a push.
const witnessEvery = time.Minute

// toWitness reports whether it is time to tell other gateways of a delivery.
func (h *hosts) toWitness(a *attempt, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := a.host.name != "" && now.Sub(a.host.witnessed) >= witnessEvery
	if due {
		a.host.witnessed = now
	}
	return due
}

// pass leaves the open breakers to the configuration that took over.
func (h *hosts) pass() {
	if h.opens.Load() > 0 {
		select {
		case h.opened <- struct{}{}:
		default:
		}
	}
}

// state is that of the breaker of an app's one service, and how many hosts are kept off where devices choose them.
func (h *hosts) state() (state string, open int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	open = len(h.open)
	if h.single.breaker.open {
		open--
	}
	return h.single.breaker.state(), open
}

// distinct are devices, as many as it takes to believe that something is not a matter of one of them.
type distinct struct {
	keys [witnesses]rejected.Key
	n    int
}

func (d *distinct) add(k rejected.Key) {
	if d.n == witnesses || slices.Contains(d.keys[:d.n], k) {
		return
	}
	d.keys[d.n] = k
	d.n++
}
