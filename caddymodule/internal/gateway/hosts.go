package gateway

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// maxStrange and maxKnown bound the hosts of an app that are remembered: those that only ever failed, and those that took a push or
	// have tripped something. Devices choose them, so anyone can make up any number of the first kind. A host takes some 500 bytes.
	maxStrange = 4096
	maxKnown   = 16384
	// maxTrusted is how many devices a host remembers as delivered to: one of them is best for a trial.
	maxTrusted = 4
)

// hosts is what is known of the hosts that an app's pushes go to, in a bounded table: whether they work, when they last took a push, and
// whether their rejections are believed. It outlives configurations, and is safe for concurrent use.
type hosts struct {
	mu sync.Mutex
	// single is where all pushes go that have no host of their own.
	single *host
	// strange hosts give way to each other, and never take the place of a known one.
	strange, known *simplelru.LRU[string, *host]

	open   map[string]*host // whose breaker is open
	opens  atomic.Int64     // how many
	opened chan struct{}    // gets one when a breaker has opened

	health health

	flying atomic.Int64 // attempts under way, those that wait for their turn included
}

// host is what is known of a host. The table's lock guards it.
type host struct {
	name    string
	breaker breaker
	// delivered is when it last took a push, of a device in trusted.
	delivered time.Time
	trusted   [maxTrusted]rejected.Key
	newest    int // of trusted
	// proof is the load of the app's with which it last took a push, and refused are distinct devices whose pushes it refused since, with
	// 401 or 403: whether the fault is the operator's key, or those devices'.
	proof   int64
	refused distinct
	// witnessed is when other gateways were last told of a delivery.
	witnessed time.Time
}

func newHosts() *hosts {
	h := &hosts{single: &host{}, open: make(map[string]*host), opened: make(chan struct{}, 1)}
	var err error
	if h.strange, err = simplelru.NewLRU[string, *host](maxStrange, nil); err != nil {
		panic(err) // the size is not positive
	}
	if h.known, err = simplelru.NewLRU(maxKnown, h.evicted); err != nil {
		panic(err)
	}
	return h
}

// evicted forgets a known host whose place another one needs. The pushes that it keeps off become due by themselves.
func (h *hosts) evicted(name string, gone *host) {
	if h.open[name] == gone {
		delete(h.open, name)
		h.opens.Add(-1)
	}
}

// of is the host with a name, which is empty where all pushes of the app go to the same service. The caller holds mu.
func (h *hosts) of(name string) *host {
	if name == "" {
		return h.single
	}
	if found, ok := h.known.Get(name); ok {
		return found
	}
	if found, ok := h.strange.Get(name); ok {
		return found
	}
	made := &host{name: name, breaker: breaker{chosen: true}}
	h.strange.Add(name, made)
	return made
}

// find is a host of which something is known; nil if nothing is. The caller holds mu.
func (h *hosts) find(name string) *host {
	if name == "" {
		return h.single
	}
	if found, ok := h.known.Peek(name); ok {
		return found
	}
	found, _ := h.strange.Peek(name)
	return found
}

// keep makes a host a known one. The caller holds mu.
func (h *hosts) keep(one *host) {
	if one.name == "" {
		return
	}
	if _, ok := h.known.Peek(one.name); !ok {
		h.strange.Remove(one.name)
		h.known.Add(one.name, one)
	}
}

// admission is whether an attempt may begin.
type admission struct {
	turnedAway bool
	trial      bool
	change     change
}

// admit decides about an attempt that is to begin. Patience is how much longer than a pending push a request's waits for the time of a
// trial. That an attempt is a trial means that no other will be for a while.
func (h *hosts) admit(name string, patience time.Duration, now time.Time) (d admission) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of(name)
	if d.change = one.breaker.look(now); d.change == opened {
		h.opening(one)
	}
	if !one.breaker.open {
		return d
	}
	if d.trial = one.breaker.mayTry(now, patience); d.trial {
		one.breaker.try(now)
	}
	d.turnedAway = !d.trial
	return d
}

// begin takes an attempt in that was admitted.
func (h *hosts) begin(a *attempt, name string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.host = h.of(name)
	a.before = a.host.delivered
	a.host.breaker.begin(a, now)
}

// verdict is what is told of an attempt that has ended.
type verdict struct {
	key     rejected.Key
	outcome providers.Outcome
	load    int64 // of the app
	own     bool  // the host is the operator's own site
}

// end counts the verdict of an attempt.
func (h *hosts) end(a *attempt, v verdict, now time.Time) change {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, o := v.key, v.outcome
	switch o.Kind {
	case providers.KindDelivered:
		h.keep(a.host)
		a.host.took(k, now)
		a.host.proof, a.host.refused = v.load, distinct{}
	case providers.KindMisconfigured:
		a.host.refused.add(k)
	}
	h.health.note(a.host.name, v.own, o, now)
	c := a.host.breaker.end(a, k, o, now)
	switch c {
	case opened:
		h.opening(a.host)
	case closed:
		if h.open[a.host.name] == a.host {
			delete(h.open, a.host.name)
			h.opens.Add(-1)
		}
	}
	return c
}

// opening notes that a breaker has opened. The caller holds mu.
func (h *hosts) opening(one *host) {
	h.keep(one)
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
	o.delivered = now
	if slices.Contains(o.trusted[:], k) {
		return
	}
	o.newest = (o.newest + 1) % maxTrusted
	o.trusted[o.newest] = k
}

// blames reports whether what a host refuses is the operator's fault. Where devices choose the host, a subscription that was made for
// another key is a matter of its device, unless several are refused and none was delivered to with the current settings.
func (h *hosts) blames(name string, load int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.find(name)
	return name == "" || one != nil && one.refused.n == witnesses && one.proof != load
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

// offer is a host whose breaker wants a pending push for a trial.
type offer struct {
	host    string
	trusted []rejected.Key // the device that was delivered to last comes first
}

// offers are the hosts for which a trial is to be made due, and when to look again; zero if no breaker is open.
func (h *hosts) offers(now time.Time) (due []offer, next time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, one := range h.open {
		b := &one.breaker
		if !now.Before(b.offerAt) {
			b.offerAt = now.Add(breakerPause)
			due = append(due, offer{name, one.latest()})
		}
		if next.IsZero() || b.offerAt.Before(next) {
			next = b.offerAt
		}
	}
	return due, next
}

// latest are the devices that were delivered to, the latest first.
func (o *host) latest() (keys []rejected.Key) {
	for i := range maxTrusted {
		if k := o.trusted[(o.newest-i+maxTrusted)%maxTrusted]; k != (rejected.Key{}) {
			keys = append(keys, k)
		}
	}
	return keys
}

// trialDue reports whether the app's one service may get a trial, where its breaker is open.
func (h *hosts) trialDue(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.single.breaker.mayTry(now, 0)
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
