package file

import (
	"hash/maphash"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// maxGraves bounds a generation of graves: a settled entry takes some 20 bytes. Above it, which takes more than 11,000 settled entries a
// second, the oldest are forgotten early.
const maxGraves = 1 << 19

// graves remembers recently settled and discarded entries, so accepting one of them late has no effect. There are two generations, so a
// grave lasts between one and two lease times, and is forgotten without a search.
type graves struct {
	seed       maphash.Seed
	young, old generation
	since      time.Time // when the young generation began
	most       int       // in a generation
}

type generation struct {
	entries map[uint64]struct{} // hashes of their names
	devices map[uint64]discarded
}

// discarded describes what was discarded of a device: entries up to a pushkey_ts that were accepted before a time.
type discarded struct {
	pushkeyTS int64
	before    time.Time
}

func newGraves() graves {
	return graves{seed: maphash.MakeSeed(), young: newGeneration(), old: newGeneration(), most: maxGraves}
}

func newGeneration() generation {
	return generation{entries: make(map[uint64]struct{}), devices: make(map[uint64]discarded)}
}

func (g *graves) hash(r outbox.Ref) uint64 { return maphash.Comparable(g.seed, r) }

// age begins a new generation when the young one is old or full.
func (g *graves) age(now time.Time) {
	if now.Sub(g.since) < outbox.LeaseTime && len(g.young.entries) < g.most && len(g.young.devices) < g.most {
		return
	}
	g.since, g.old = now, g.young
	g.young = newGeneration()
}

// bury remembers that an entry was settled.
func (g *graves) bury(r outbox.Ref, now time.Time) {
	g.age(now)
	g.young.entries[g.hash(r)] = struct{}{}
}

// unbury forgets an entry that was not settled after all.
func (g *graves) unbury(r outbox.Ref) {
	h := g.hash(r)
	delete(g.young.entries, h)
	delete(g.old.entries, h)
}

// buryOlder remembers that a device's entries were discarded.
func (g *graves) buryOlder(app string, device [16]byte, pushkeyTS int64, now time.Time) {
	g.age(now)
	g.young.devices[g.hash(outbox.Ref{App: app, Device: device})] = discarded{pushkeyTS, now}
}

// settled reports whether an entry was settled.
func (g *graves) settled(r outbox.Ref) bool {
	h := g.hash(r)
	if _, ok := g.young.entries[h]; ok {
		return true
	}
	_, ok := g.old.entries[h]
	return ok
}

// holds reports whether an entry was settled, or discarded after the gateway got it.
func (g *graves) holds(e *outbox.Entry) bool {
	if g.settled(e.Ref()) {
		return true
	}
	if e.Accepted.IsZero() || len(g.young.devices)+len(g.old.devices) == 0 {
		return false
	}
	h := g.hash(outbox.Ref{App: e.App, Device: e.Device})
	for _, of := range []map[uint64]discarded{g.young.devices, g.old.devices} {
		if d, ok := of[h]; ok && e.PushkeyTS <= d.pushkeyTS && e.Accepted.Before(d.before) {
			return true
		}
	}
	return false
}

// settled reports whether an entry was settled lately.
func (x *index) settled(r outbox.Ref) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.graves.settled(r)
}
