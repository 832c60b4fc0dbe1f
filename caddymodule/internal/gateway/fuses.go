package gateway

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// recordUnlessHeld records a verdict, unless the fuse is tripped, or trips of it: then the verdicts of its window are withdrawn.
func (g *Gateway) recordUnlessHeld(c *cargo, record func() effect) (recorded effect, held bool) {
	if g.Fuse.Share >= 1 {
		return record(), false
	}
	fuse := c.app.fuse
	if fuse.changedSince(c.fuse, c.host) { // the verdict is of other times
		return untried, true
	}
	s := fuse.note(c.key, c.host, true, g.Fuse, g.Now())
	g.fuseChanged(c.app, s)
	if s.held {
		return untried, true
	}
	recorded = record()
	if fuse.changedSince(c.fuse, c.host) {
		// It tripped meanwhile, and this record may have been written after those of its window were withdrawn.
		g.forget(c.key)
		return untried, true
	}
	return recorded, false
}

// alive notes that an app's pushkey is alive, which may reset the fuse.
func (g *Gateway) alive(c *cargo) {
	if g.Fuse.Share < 1 {
		g.fuseChanged(c.app, c.app.fuse.note(c.key, c.host, false, g.Fuse, g.Now()))
	}
}

// fuseChanged reports what became of an app's fuse, withdraws what was recorded in a trip's window, and has pushes tried that were held.
func (g *Gateway) fuseChanged(app *App, s fuseState) {
	for _, t := range s.trips {
		g.Observer.FuseTripped(app.Pattern, t.host, len(t.dead))
		g.Shared.began(app)
		go func() {
			defer g.Shared.ended(app)
			g.withdraw(t.dead)
		}()
	}
	for _, host := range s.resets {
		g.Observer.FuseReset(app.Pattern, host, false)
		g.rousePart(app, host)
	}
}

// maxWithdrawn is how many records are withdrawn at a time.
const maxWithdrawn = 64

// withdraw forgets records. It may take long: nobody waits for it.
func (g *Gateway) withdraw(keys []rejected.Key) {
	var group errgroup.Group
	group.SetLimit(maxWithdrawn)
	for _, k := range keys {
		group.Go(func() error {
			g.forget(k)
			return nil
		})
	}
	_ = group.Wait() // forget reports what fails
}

func (g *Gateway) forget(k rejected.Key) {
	ctx, cancel := context.WithTimeout(context.Background(), rejected.WriteTime)
	defer cancel()
	if err := g.Rejected.Forget(ctx, k); err != nil {
		g.Observer.StoreFailed("withdrawing rejections", err)
	}
}

// unknown decides a device of an app that is not configured: it is rejected, unless so many are that it is rather the configuration.
func (g *Gateway) unknown(k rejected.Key) decision {
	if g.Fuse.Share >= 1 {
		return decide(providers.Unusable("unknown_app", nil), circumstances{})
	}
	return decide(providers.Unusable("unknown_app", nil), circumstances{held: g.noteUnknown(k, true)})
}

// known notes a device of an app that is configured.
func (g *Gateway) known(k rejected.Key) {
	if g.Fuse.Share < 1 {
		g.noteUnknown(k, false)
	}
}

// noteUnknown counts whether a device's app is unknown, and reports whether rejections for that are held.
func (g *Gateway) noteUnknown(k rejected.Key, unknown bool) (held bool) {
	s := g.Shared.Fuses.of(unknownApps).note(k, "", unknown, g.Fuse, g.Now())
	for _, t := range s.trips {
		g.Observer.FuseTripped(unknownApps, "", len(t.dead))
	}
	for range s.resets {
		g.Observer.FuseReset(unknownApps, "", false)
	}
	return s.held
}

// Fuses are the states of the fuses of the gateway's apps, and of that of unknown ones.
func (g *Gateway) Fuses() []FuseStatus {
	status := []FuseStatus{g.Shared.Fuses.of(unknownApps).status(unknownApps)}
	for _, app := range g.Router.Apps() {
		status = append(status, app.fuse.status(app.Pattern))
	}
	return status
}

// ResetFuse believes rejections again, and forgets those that were counted. It reports whether they were held; an app that there is not
// has no fuse.
func (g *Gateway) ResetFuse(pattern string) (was, ok bool) {
	app := g.Router.Configured(pattern)
	if app == nil && pattern != unknownApps {
		return false, false
	}
	parts := g.Shared.Fuses.of(pattern).reset()
	for _, host := range parts {
		g.Observer.FuseReset(pattern, host, true)
	}
	if app != nil {
		g.box.rouse(app)
	}
	return len(parts) > 0, true
}

// FuseStatus is what an operator learns of a fuse.
type FuseStatus struct {
	// App is the pattern of the app; empty for devices that no app serves.
	App string `json:"app"`
	// Tripped is since when rejections are held, for the app or for some of its hosts; absent while they are not.
	Tripped *time.Time `json:"tripped,omitempty"`
	// Dead and Pushkeys are how many pushkeys got a rejection, and any verdict, within the window.
	Dead     int `json:"dead"`
	Pushkeys int `json:"pushkeys"`
	// Hosts are the push servers whose rejections are held, where devices choose the host; absent if those of the whole app are.
	Hosts []HostFuseStatus `json:"hosts,omitempty"`
}

// HostFuseStatus is what an operator learns of the part of a fuse that is for one push server.
type HostFuseStatus struct {
	Host     string    `json:"host"`
	Tripped  time.Time `json:"tripped"`
	Dead     int       `json:"dead"`
	Pushkeys int       `json:"pushkeys"`
}

func (f *fuse) status(app string) FuseStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.young.all.plus(f.old.all)
	s := FuseStatus{App: app, Dead: all.dead, Pushkeys: all.all, Tripped: present(f.tripped)}
	if s.Tripped != nil {
		return s
	}
	for host, since := range f.hosts {
		of := f.of(host)
		s.Hosts = append(s.Hosts, HostFuseStatus{host, since, of.dead, of.all})
		if s.Tripped == nil || since.Before(*s.Tripped) {
			s.Tripped = &since
		}
	}
	slices.SortFunc(s.Hosts, func(a, b HostFuseStatus) int { return cmp.Compare(a.Host, b.Host) })
	return s
}

// holds reports whether the rejections of a host of the app's are held.
func (f *fuse) holds(host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.tripped.IsZero() || !f.hosts[host].IsZero()
}
