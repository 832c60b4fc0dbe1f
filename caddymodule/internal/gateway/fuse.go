package gateway

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/providers"
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
		f.fuses[app] = &fuse{}
	}
	return f.fuses[app]
}

// fuse counts the distinct pushkeys of an app by the last verdict on each: alive or dead. It trips when too many are dead. It is safe
// for concurrent use.
type fuse struct {
	// recording is held for reading while a verdict is noted and recorded, so that none is recorded after those of a tripped fuse were
	// withdrawn.
	recording sync.RWMutex

	mu sync.Mutex
	// Verdicts are kept for one to two halves of the window: the older half is forgotten as a whole.
	young, old fuseHalf
	tripped    time.Time // zero while it is not
	changes    int       // how often it tripped or was reset
}

type fuseHalf struct {
	born  time.Time
	dead  map[rejected.Key]bool // whether the pushkey is dead
	count int                   // of the dead ones
}

func (h *fuseHalf) set(k rejected.Key, dead bool) {
	before, ok := h.dead[k]
	if !ok && len(h.dead) >= maxFuseKeys {
		return
	}
	if before && !dead {
		h.count--
	}
	if dead && !before {
		h.count++
	}
	h.dead[k] = dead
}

func (h *fuseHalf) forget(k rejected.Key) {
	if h.dead[k] {
		h.count--
	}
	delete(h.dead, k)
}

// note counts a verdict, and says whether the fuse is tripped after it, and whether that or its end is news. If it trips of it, dead are
// the pushkeys that were rejected in its window.
func (f *fuse) note(k rejected.Key, isDead bool, o FuseOptions, now time.Time) (s fuseState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.age(o, now)
	f.old.forget(k)
	f.young.set(k, isDead)
	dead, all := f.young.count+f.old.count, len(f.young.dead)+len(f.old.dead)
	over := dead >= fuseMin && float64(dead) > o.Share*float64(all)
	switch was := !f.tripped.IsZero(); {
	case over && !was:
		f.tripped = now
		f.changes++
		s.trips, s.dead = true, f.dead()
	case !over && was:
		f.tripped = time.Time{}
		f.changes++
		s.reset = true
	}
	s.tripped = !f.tripped.IsZero()
	return s
}

// fuseState is what became of a fuse.
type fuseState struct {
	tripped, trips, reset bool
	dead                  []rejected.Key
}

// age forgets what is older than the window.
func (f *fuse) age(o FuseOptions, now time.Time) {
	if f.young.dead == nil {
		f.young = fuseHalf{born: now, dead: make(map[rejected.Key]bool)}
	}
	if now.Sub(f.young.born) >= o.Window/2 {
		f.old, f.young = f.young, fuseHalf{born: now, dead: make(map[rejected.Key]bool)}
	}
	if now.Sub(f.old.born) >= o.Window*3/2 {
		f.old = fuseHalf{}
	}
}

func (f *fuse) changed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

func (f *fuse) dead() (keys []rejected.Key) {
	for _, h := range []fuseHalf{f.young, f.old} {
		for k, dead := range h.dead {
			if dead {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// recordUnlessTripped records a verdict, unless the app's fuse is tripped, or trips of it: then the verdicts of its window are withdrawn.
func (g *Gateway) recordUnlessTripped(record func() effect, c cargo) (recorded effect, held bool) {
	if g.Fuse.Share >= 1 {
		return record(), false
	}
	fuse := g.Shared.Fuses.of(c.app.Pattern)
	fuse.recording.RLock()
	if fuse.changed() != c.fuse { // the verdict is of other times
		fuse.recording.RUnlock()
		return untried, true
	}
	s := fuse.note(c.key, true, g.Fuse, g.Now())
	if !s.tripped {
		recorded = record()
	}
	fuse.recording.RUnlock()
	if s.trips {
		fuse.recording.Lock()
		defer fuse.recording.Unlock()
		g.withdraw(s.dead)
		g.Observer.FuseTripped(c.app.Pattern, len(s.dead))
	}
	return recorded, s.tripped
}

// fuseOf is how often an app's fuse has changed, to be compared when an attempt has ended.
func (g *Gateway) fuseOf(app *App) int { return g.Shared.Fuses.of(app.Pattern).changed() }

// alive notes that an app's pushkey is alive, which may mend the app's fuse.
func (g *Gateway) alive(c cargo) {
	if g.Fuse.Share >= 1 {
		return
	}
	if g.Shared.Fuses.of(c.app.Pattern).note(c.key, false, g.Fuse, g.Now()).reset {
		g.Observer.FuseReset(c.app.Pattern, false)
		g.rouse(c.app)
	}
}

// maxWithdrawn is how many records are withdrawn at a time.
const maxWithdrawn = 64

func (g *Gateway) withdraw(keys []rejected.Key) {
	var group errgroup.Group
	group.SetLimit(maxWithdrawn)
	for _, k := range keys {
		group.Go(func() error { return g.Rejected.Forget(context.Background(), k) })
	}
	if err := group.Wait(); err != nil {
		g.Observer.StoreFailed("withdrawing rejections", err)
	}
}

// unknown decides a device of an app that is not configured: it is rejected, unless so many are that it is rather the configuration.
func (g *Gateway) unknown(k rejected.Key) decision {
	if g.Fuse.Share >= 1 {
		return decide(providers.Unusable("unknown_app", nil), circumstances{})
	}
	s := g.Shared.Fuses.of(unknownApps).note(k, true, g.Fuse, g.Now())
	if s.trips {
		g.Observer.FuseTripped(unknownApps, len(s.dead))
	}
	return decide(providers.Unusable("unknown_app", nil), circumstances{held: s.tripped})
}

// known notes a device of an app that is configured.
func (g *Gateway) known(k rejected.Key) {
	if g.Fuse.Share < 1 && g.Shared.Fuses.of(unknownApps).note(k, false, g.Fuse, g.Now()).reset {
		g.Observer.FuseReset(unknownApps, false)
	}
}

// Fuses are the states of the fuses of the gateway's apps, and of that of unknown ones.
func (g *Gateway) Fuses() []FuseStatus {
	status := []FuseStatus{g.Shared.Fuses.of(unknownApps).status(unknownApps)}
	for _, app := range g.Router.Apps() {
		status = append(status, g.Shared.Fuses.of(app.Pattern).status(app.Pattern))
	}
	return status
}

// ResetFuse believes rejections again, and forgets those that were counted. It says whether they were held; an app that there is not
// has no fuse.
func (g *Gateway) ResetFuse(pattern string) (was, ok bool) {
	app := g.Router.Configured(pattern)
	if app == nil && pattern != unknownApps {
		return false, false
	}
	if was = g.Shared.Fuses.of(pattern).reset(); was {
		g.Observer.FuseReset(pattern, true)
	}
	if app != nil {
		g.rouse(app)
	}
	return was, true
}

// FuseStatus is what an operator learns of a fuse.
type FuseStatus struct {
	// App is the pattern of the app; empty for devices that no app serves.
	App string `json:"app"`
	// Tripped is since when rejections are held; absent while they are not.
	Tripped *time.Time `json:"tripped,omitempty"`
	// Dead and Pushkeys are how many pushkeys got a rejection, and any verdict, within the window.
	Dead     int `json:"dead"`
	Pushkeys int `json:"pushkeys"`
}

func (f *fuse) status(app string) FuseStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := FuseStatus{App: app, Dead: f.young.count + f.old.count, Pushkeys: len(f.young.dead) + len(f.old.dead)}
	if !f.tripped.IsZero() {
		tripped := f.tripped
		s.Tripped = &tripped
	}
	return s
}

// reset forgets everything, and says whether the fuse was tripped.
func (f *fuse) reset() (was bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was = !f.tripped.IsZero()
	f.changes++
	f.young, f.old, f.tripped = fuseHalf{}, fuseHalf{}, time.Time{}
	return was
}
