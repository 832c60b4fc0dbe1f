package redis

import (
	"slices"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// A caller waits for the answer of one shard before it asks the next one too: for twice as long as the latest answer took, between these
// two. Otherwise it would lease more from slow shards than it needs.
const (
	hesitation    = 20 * time.Millisecond
	maxHesitation = 5 * hesitation
)

// never is when to ask a shard that has nothing due, or that is being asked.
var never = time.Unix(1<<40, 0)

// desks has the desks of the apps. In them, this process grants leases to its callers.
type desks struct {
	shards int

	mu    sync.Mutex
	byApp map[string]*desk
}

func newDesks(shards int) desks { return desks{shards: shards, byApp: make(map[string]*desk)} }

// of returns an app's desk.
func (d *desks) of(app string) *desk {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.byApp[app]
	if one == nil {
		one = newDesk(d.shards)
		d.byApp[app] = one
	}
	return one
}

// due notes that a shard has something due for an app. An app that nobody leases has no desk, and needs none.
func (d *desks) due(app string, shard int, at time.Time) {
	d.mu.Lock()
	one := d.byApp[app]
	d.mu.Unlock()
	if one != nil {
		one.due(shard, at)
	}
}

// busy reports whether anybody waits for a lease.
func (d *desks) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.byApp {
		if one.waiting() {
			return true
		}
	}
	return false
}

// wake wakes everybody.
func (d *desks) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.byApp {
		one.wake()
	}
}

// desk has what is known about an app's due devices, and what was leased for those who wait.
type desk struct {
	mu      sync.Mutex
	next    []time.Time     // by shard: when to ask it
	asked   []time.Time     // by shard: since when it is being asked; zero if it is not
	latest  time.Time       // when the latest of them was asked
	took    time.Duration   // how long the latest answer took
	callers int             // how many calls wait
	granted []outbox.Leased // nobody has them yet; empty unless somebody waits
	changed chan struct{}   // closed at the next change
}

func newDesk(shards int) *desk {
	return &desk{
		next: slices.Repeat([]time.Time{time.Now()}, shards), asked: make([]time.Time, shards), changed: make(chan struct{}),
	}
}

func (d *desk) waiting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.callers > 0
}

// watch returns a channel that is closed at the next change.
func (d *desk) watch() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *desk) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeLocked()
}

func (d *desk) wakeLocked() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *desk) due(shard int, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at.Before(d.next[shard]) {
		d.next[shard] = at
		d.wakeLocked()
	}
}

func (d *desk) enter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.callers++
}

// leave ends a call. If nobody waits any more, it returns what was leased for nobody.
func (d *desk) leave() (orphans []outbox.Leased) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.callers--; d.callers == 0 {
		orphans, d.granted = d.granted, nil
	}
	return orphans
}

// collect takes at most n of what was leased.
func (d *desk) collect(n int) (leased []outbox.Leased) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n = min(n, len(d.granted))
	leased, d.granted = d.granted[:n:n], d.granted[n:]
	return leased
}

// expects reports whether a caller must wait for an answer before it may go: nobody else would take it.
func (d *desk) expects() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asking() && d.callers == 1
}

// asking reports whether any shard is being asked.
func (d *desk) asking() bool {
	return slices.ContainsFunc(d.asked, func(since time.Time) bool { return !since.IsZero() })
}

// choose returns the shard to ask now for at most so many leases, and counts it as asked. It is the one that has had something due for the
// longest time. If there is none, the shard is -1. Then more reports whether an answer is expected within the hesitation. A shard is asked
// once at a time.
func (d *desk) choose(now time.Time, n int, works func(shard int) bool) (shard, most int, wait time.Duration, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if most = n - len(d.granted); most <= 0 {
		return -1, 0, 0, false
	}
	hesitates := min(max(2*d.took, hesitation), maxHesitation)
	if wait = d.latest.Add(hesitates).Sub(now); d.asking() && wait > 0 {
		return -1, 0, wait, true
	}
	shard = -1
	for i, at := range d.next {
		if works(i) && d.asked[i].IsZero() && (shard < 0 || at.Before(d.next[shard])) {
			shard = i
		}
	}
	if shard < 0 {
		return -1, 0, never.Sub(now), false
	}
	if wait = d.next[shard].Sub(now); wait > 0 {
		return -1, 0, wait, false
	}
	d.next[shard], d.asked[shard], d.latest = never, now, now
	return shard, most, hesitates, true
}

// answered ends the asking of a shard. It is asked again at a time, unless that is sooner by now. If nobody waits any more, the leases are
// returned.
func (d *desk) answered(shard int, leased []outbox.Leased, next time.Time) (orphans []outbox.Leased) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.took, d.asked[shard] = time.Since(d.asked[shard]), time.Time{}
	if next.Before(d.next[shard]) {
		d.next[shard] = next
	}
	defer d.wakeLocked()
	if d.callers == 0 {
		return leased
	}
	d.granted = append(d.granted, leased...)
	return nil
}
