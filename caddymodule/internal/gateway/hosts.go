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
	// maxStrange, maxDown and maxKnown bound the hosts of an app that are remembered. Strange hosts never took a push, down hosts are
	// those among them whose breaker has opened, and known hosts took one. Anybody can make up hosts of the first two kinds. A host
	// takes about 500 bytes.
	maxStrange = 4096
	maxDown    = 4096
	maxKnown   = 16384
	// maxTrusted is how many devices of a host are remembered: that many that were delivered to, and as many whose pushes failed or
	// were turned away. One of them is the best trial.
	maxTrusted = 4
)

// hosts is a bounded table of the hosts that an app's pushes go to. It knows whether they work, when they last took a push, and whether
// their rejections are believed. It outlives configurations, and is safe for concurrent use.
type hosts struct {
	mu sync.Mutex
	// single is for all pushes without a host, where the app has one push service.
	single *host
	// tiers are the strange, the down and the known hosts. A host is evicted only by others of its tier.
	tiers [tiers]*simplelru.LRU[string, *host]

	open   map[string]*host // hosts whose breaker is open
	opens  atomic.Int64     // the number of hosts in open
	opened chan struct{}    // signals that a breaker has opened

	paused map[string]*host // hosts that throttle the gateway
	wrong  wrongKeys

	health health

	flying atomic.Int64 // attempts under way, including those that wait for their turn
}

// tier is how much a host is worth remembering.
type tier int

const (
	strange tier = iota
	down
	known
	tiers
)

// host is what is known about a host. The table's lock guards it.
type host struct {
	name    string
	breaker breaker
	moving  bool // from one tier to a higher one
	// delivered is when the host last took a push, and latest the device that it was for. other is when it last took a push for another
	// device.
	delivered, other time.Time
	latest           rejected.Key
	// failed is when the first push since then failed; zero if none did, or if the failures are evidence only about devices.
	failed time.Time
	// trusted are devices that the host took pushes for. wanting are proven devices whose latest push failed or was turned away.
	trusted, wanting latest
	// proof is the load number of the app when the host last took a push. refused are distinct devices whose pushes the host refused,
	// with 401 or 403, while the load number was refusing. They show whether the operator's key is wrong, or those devices'.
	proof, refusing int64
	refused         distinct
	// pauses are the pauses of a host that throttles the gateway; nil if it never did.
	pauses *pauses
	// witnessed is when a delivery was last reported to other gateways.
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

// evicted forgets a host that makes way for another one, unless it moves to a higher tier. The pushes that its breaker holds become due
// by themselves.
func (h *hosts) evicted(name string, gone *host) {
	if h.open[name] == gone && !gone.moving {
		delete(h.open, name)
		h.opens.Add(-1)
	}
	if h.paused[name] == gone && !gone.moving {
		delete(h.paused, name)
	}
}

// of returns the host with a name, or a new one. The name is empty if all pushes of the app go to the same service. The caller holds
// mu.
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

// find returns the host with a name, or nil if it is not in the table. The caller holds mu.
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

// keep moves a host to a tier, unless it is in that tier or a higher one. The caller holds mu.
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

// latest remembers the latest few of many devices.
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

// all returns the devices, latest first.
func (l *latest) all() (keys []rejected.Key) {
	for i := range maxTrusted {
		if k := l.keys[(l.newest-i+maxTrusted)%maxTrusted]; k != (rejected.Key{}) {
			keys = append(keys, k)
		}
	}
	return keys
}

// isOpen reports whether a host's breaker is open.
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
		return true // the operator chose it
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.find(name)
	return one != nil && !one.delivered.IsZero()
}

// blames reports whether a host's refusals are the operator's fault. Where devices choose the host, a subscription made for another key
// concerns only its device. It is the operator's fault only if the host refuses several devices, and took no push with the current
// settings.
func (h *hosts) blames(name string, load int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.find(name)
	return name == "" || one != nil && one.refusing == load && one.refused.n == witnesses && one.proof != load
}

// proved notes that a host took a test push for a device, with the settings of a load. It returns the change of the app's health.
func (h *hosts) proved(name string, k rejected.Key, load int64, own bool, now time.Time) course {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of(name)
	one.proof, one.refused = load, distinct{}
	h.wrong.took(name, k, load)
	one.failed, h.health.delivered = time.Time{}, now
	h.health.works(one, own, true)
	return h.health.changed(now)
}

// witnessEvery is how often a host's delivery is reported to other gateways.
const witnessEvery = time.Minute

// toWitness reports whether to report a delivery to other gateways now.
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

// state returns the state of the breaker of an app's only service, and the number of open breakers where devices choose the host.
func (h *hosts) state() (state string, open int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	open = len(h.open)
	if h.single.breaker.open {
		open--
	}
	return h.single.breaker.state(), open
}

// distinct holds up to as many devices as are needed to show that a failure does not concern only one of them.
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
