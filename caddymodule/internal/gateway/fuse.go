package gateway

import (
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// FuseOptions say when so many pushkeys die at once that it is rather the operator's mistake.
type FuseOptions struct {
	// Share is the part of the pushkeys that may be rejected; 1 turns the fuse off.
	Share float64
	// Window is the time in which they are counted.
	Window time.Duration
}

const (
	// fuseMin is how many rejections it takes at least.
	fuseMin = 20
	// maxFuseKeys bounds the pushkeys that are counted in half a window.
	maxFuseKeys = 100_000
	// maxFuseChanges bounds the hosts of which it is remembered when their part of a fuse changed.
	maxFuseChanges = 1024
)

// Fuses has one for each app, and one for devices of unknown apps. They outlive configurations.
type Fuses struct {
	mu    sync.Mutex
	fuses map[string]*fuse
}

// unknownApps is the name of the fuse for devices that no app serves: no pattern is empty.
const unknownApps = ""

func newFuses() *Fuses { return &Fuses{fuses: make(map[string]*fuse)} }

func (f *Fuses) of(app string) *fuse {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fuses[app] == nil {
		f.fuses[app] = newFuse()
	}
	return f.fuses[app]
}

// fuse counts the distinct pushkeys of an app by the last verdict on each: alive or dead. It trips when too many are dead: for a host that
// devices choose, if they are dead there, and else for the app. What a tripped host says does not count for the app. It is safe for
// concurrent use.
type fuse struct {
	mu sync.Mutex
	// Verdicts are kept for one to two halves of the window: the older half is forgotten as a whole.
	young, old fuseHalf
	tripped    time.Time            // zero while the app's is not
	hosts      map[string]time.Time // the hosts for which it is
	// seq counts the times that it tripped or was reset; latest is the last one for the app, and changes those for hosts.
	seq, latest int
	changes     *simplelru.LRU[string, int]
}

func newFuse() *fuse {
	changes, err := simplelru.NewLRU[string, int](maxFuseChanges, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &fuse{hosts: make(map[string]time.Time), changes: changes}
}

// of counts a host's pushkeys.
func (f *fuse) of(host string) tally { return f.young.of(host).plus(f.old.of(host)) }

// all counts the app's pushkeys, but for those of tripped hosts.
func (f *fuse) all() tally {
	all := f.young.all.plus(f.old.all)
	for host := range f.hosts {
		all = all.minus(f.of(host))
	}
	return all
}

// fuseState is what became of a fuse.
type fuseState struct {
	// held means that the verdict is not to be believed.
	held bool
	// trips are what tripped, and resets what is believed again: hosts, or "" for the app.
	trips  []trip
	resets []string
}

// trip is a part of a fuse that has tripped, and the pushkeys that were rejected within the window.
type trip struct {
	host string
	dead []rejected.Key
}

// note counts a verdict.
func (f *fuse) note(k rejected.Key, host string, dead bool, o FuseOptions, now time.Time) (s fuseState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.resets = f.age(o, now)
	f.old.forget(k)
	f.young.set(k, host, dead)
	if host != "" {
		f.judgeHost(host, o, now, &s)
	}
	f.judge(o, now, &s)
	s.held = !f.tripped.IsZero() || !f.hosts[host].IsZero()
	return s
}

func (f *fuse) judgeHost(host string, o FuseOptions, now time.Time, s *fuseState) {
	over, was := f.of(host).over(o.Share), !f.hosts[host].IsZero()
	switch {
	case over && !was:
		f.hosts[host] = now
		s.trips = append(s.trips, trip{host, f.dead(func(of *hostTally) bool { return of != nil && of.name == host })})
		f.changed(host)
	case !over && was:
		delete(f.hosts, host)
		s.resets = append(s.resets, host)
		f.changed(host)
	}
}

func (f *fuse) judge(o FuseOptions, now time.Time, s *fuseState) {
	over, was := f.all().over(o.Share), !f.tripped.IsZero()
	switch {
	case over && !was:
		f.tripped = now
		s.trips = append(s.trips, trip{"", f.dead(func(*hostTally) bool { return true })})
		f.changed("")
	case !over && was:
		f.tripped = time.Time{}
		s.resets = append(s.resets, "")
		f.changed("")
	}
}

// dead are the pushkeys that were rejected within the window, of the hosts that are wanted.
func (f *fuse) dead(wanted func(of *hostTally) bool) (keys []rejected.Key) {
	for _, h := range []fuseHalf{f.young, f.old} {
		for k, v := range h.verdicts {
			if v.dead && wanted(v.host) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// age forgets what is older than the window. Hosts of which nothing is left are believed again.
func (f *fuse) age(o FuseOptions, now time.Time) (resets []string) {
	if f.young.verdicts == nil {
		f.young = newFuseHalf(now)
	}
	aged := false
	if now.Sub(f.young.born) >= o.Window/2 {
		f.old, f.young, aged = f.young, newFuseHalf(now), true
	}
	if now.Sub(f.old.born) >= o.Window*3/2 {
		f.old = fuseHalf{}
	}
	if !aged {
		return nil
	}
	for host := range f.hosts {
		if f.of(host).all == 0 {
			delete(f.hosts, host)
			f.changed(host)
			resets = append(resets, host)
		}
	}
	return resets
}

// changed notes that a part of the fuse tripped or was reset.
func (f *fuse) changed(host string) {
	f.seq++
	if host == "" {
		f.latest = f.seq
	} else {
		f.changes.Add(host, f.seq)
	}
}

// now is the number of the latest change, to be compared when an attempt has ended.
func (f *fuse) now() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq
}

// changedSince reports whether the part of the fuse for a host changed since a number.
func (f *fuse) changedSince(seq int, host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.latest > seq {
		return true
	}
	latest, ok := f.changes.Peek(host)
	return ok && latest > seq
}

// reset forgets everything, and returns what was tripped: hosts, or "" for the app.
func (f *fuse) reset() (was []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.tripped.IsZero() {
		was = append(was, "")
	}
	for host := range maps.Keys(f.hosts) {
		was = append(was, host)
	}
	f.changed("")
	f.young, f.old, f.tripped = fuseHalf{}, fuseHalf{}, time.Time{}
	clear(f.hosts)
	return was
}
