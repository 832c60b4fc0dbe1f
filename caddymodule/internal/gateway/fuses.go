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

// HoldNode counts a node of an XMPP component by whether its key is retired. It reports whether so many are that they are not believed to
// be dead, and whether that alerts the operator. No app has the name of the component's fuse, because no pattern has a slash.
//
// Anybody can make up a node with the id of a retired key, because nothing can open it. So it is a known one only if it was opened before.
func (f *Fuses) HoldNode(component string, node rejected.Key, retired bool, o FuseOptions, now time.Time) (held, alarm bool) {
	if o.Share >= 1 {
		return false, false
	}
	fuse := f.of("xmpp/" + component)
	held = fuse.note(noted{key: node, dead: retired, known: !retired}, o, now).held && retired
	return held, held && fuse.alarms("")
}

// recordUnlessHeld records a verdict, unless the fuse is tripped or trips because of it. A trip withdraws the verdicts of its window.
// If there is no room for a record, the verdict is believed but not recorded.
func (g *Gateway) recordUnlessHeld(f *flight, record func() effect) (recorded effect, held bool) {
	c, fuse := &f.cargo, f.app.fuse
	if g.Fuse.Share >= 1 {
		if !fuse.mayRecord(c.known, c.isNew(), g.Now()) {
			return untried, false
		}
		return record(), false
	}
	if fuse.changedSince(c.fuse, c.host) { // the verdict is from before the change
		return untried, true
	}
	s := fuse.note(noted{key: c.key, host: c.host, dead: true, known: c.known, record: true, fresh: c.isNew()}, g.Fuse, g.Now())
	g.fuseChanged(c.app, s)
	switch {
	case s.held:
		return untried, true
	case !s.record:
		return untried, false
	}
	recorded = record()
	if fuse.changedSince(c.fuse, c.host) {
		// It tripped in the meantime, and this record may have been written after those of its window were withdrawn.
		g.forget(withdrawn{c.key, c.known})
		return untried, true
	}
	return recorded, false
}

// isNew reports whether nothing is on record for the device.
func (c *cargo) isNew() bool { return c.mark == (rejected.Mark{}) }

// alive notes that an app's pushkey is alive, which may reset the fuse.
func (g *Gateway) alive(c *cargo) (s fuseState) {
	if g.Fuse.Share < 1 {
		s = c.app.fuse.note(noted{key: c.key, host: c.host, known: c.known}, g.Fuse, g.Now())
	}
	return s
}

// fuseChanged reports how an app's fuse changed, withdraws the records of a trip's window, and makes pushes due that a reset no longer
// holds.
func (g *Gateway) fuseChanged(app *App, s fuseState) {
	for _, t := range s.trips {
		if t.told {
			g.Observer.FuseTripped(app.Pattern, t.host, t.pushkeys, t.alarm)
		}
		if len(t.dead) == 0 {
			continue
		}
		g.Shared.began()
		go func() {
			defer g.Shared.ended()
			g.withdraw(t.dead)
		}()
	}
	for _, r := range s.resets {
		g.Observer.FuseReset(app.Pattern, r.host, false, r.alarm)
		g.rousePart(app, r.host)
	}
}

// maxWithdrawn is how many records are withdrawn at the same time.
const maxWithdrawn = 64

// withdraw forgets records. It may take long, so nothing waits for it.
func (g *Gateway) withdraw(dead []withdrawn) {
	var group errgroup.Group
	group.SetLimit(maxWithdrawn)
	for _, d := range dead {
		group.Go(func() error {
			g.forget(d)
			return nil
		})
	}
	_ = group.Wait() // forget reports failures
}

// forget removes the record of a device that is not believed to be dead.
func (g *Gateway) forget(d withdrawn) {
	if d.known { // the record had ended that
		g.Shared.proven.add(g.Now(), d.key)
	}
	ctx, cancel := context.WithTimeout(context.Background(), rejected.WriteTime)
	defer cancel()
	if err := g.Rejected.Forget(ctx, d.key); err != nil {
		g.Observer.StoreFailed("withdrawing rejections", err)
	}
}

// unknown decides about a device of an unknown app. It is rejected, unless so many are that the configuration is almost certainly
// wrong.
func (g *Gateway) unknown(k rejected.Key) decision {
	if g.Fuse.Share >= 1 {
		return decide(providers.Unusable(unknownApp, nil), circumstances{})
	}
	held := g.noteUnknown(noted{key: k, dead: true, known: g.Shared.isProven(k)})
	return decide(providers.Unusable(unknownApp, nil), circumstances{held: held})
}

// served notes a device of a configured app. known means that the device was delivered to before.
func (g *Gateway) served(k rejected.Key, known bool) {
	if g.Fuse.Share < 1 {
		g.noteUnknown(noted{key: k, known: known})
	}
}

// noteUnknown counts whether a device's app is unknown, and reports whether rejections for that reason are held.
func (g *Gateway) noteUnknown(v noted) (held bool) {
	s := g.Shared.Fuses.of(unknownApps).note(v, g.Fuse, g.Now())
	for _, t := range s.trips {
		if t.told {
			g.Observer.FuseTripped(unknownApps, "", t.pushkeys, t.alarm)
		}
	}
	for _, r := range s.resets {
		g.Observer.FuseReset(unknownApps, "", false, r.alarm)
	}
	return s.held
}

// Fuses returns the states of the fuses of the gateway's apps, and of the fuse for unknown apps.
func (g *Gateway) Fuses() []FuseStatus {
	status := []FuseStatus{g.Shared.Fuses.of(unknownApps).status(unknownApps)}
	for _, app := range g.Router.Apps() {
		status = append(status, app.fuse.status(app.Pattern))
	}
	return status
}

// ResetFuse makes an app's rejections count again, and forgets the counted ones. It reports whether rejections were held, and whether
// there is such an app.
func (g *Gateway) ResetFuse(pattern string) (was, ok bool) {
	app := g.Router.Configured(pattern)
	if app == nil && pattern != unknownApps {
		return false, false
	}
	parts := g.Shared.Fuses.of(pattern).reset()
	for _, r := range parts {
		g.Observer.FuseReset(pattern, r.host, true, r.alarm)
	}
	if app != nil {
		g.box.rouse(app)
	}
	return len(parts) > 0, true
}

// FuseStatus is the state of a fuse as an operator sees it.
type FuseStatus struct {
	// App is the pattern of the app; empty for devices that no app serves.
	App string `json:"app"`
	// Tripped is since when rejections are held, for the app or for some of its hosts; absent while they are not.
	Tripped *time.Time `json:"tripped,omitempty"`
	// Alarm is since when so many of the known devices are among the dead that the operator is alerted; absent while that is not the
	// case.
	Alarm *time.Time `json:"alarm,omitempty"`
	// Dead is how many pushkeys were rejected within the window, and Pushkeys how many had any verdict. Large numbers are estimates.
	Dead     int `json:"dead"`
	Pushkeys int `json:"pushkeys"`
	// Unrecorded is how many rejections and suspicions were not recorded since the process began, because too many were of devices that
	// were never delivered to.
	Unrecorded int `json:"unrecorded,omitempty"`
	// Hosts are the push servers whose rejections are held, where devices choose the host; absent if the whole app's are held.
	Hosts []HostFuseStatus `json:"hosts,omitempty"`
}

// HostFuseStatus is the state of a fuse for one push server.
type HostFuseStatus struct {
	Host    string    `json:"host"`
	Tripped time.Time `json:"tripped"`
	// Alarm is as in FuseStatus.
	Alarm    *time.Time `json:"alarm,omitempty"`
	Dead     int        `json:"dead"`
	Pushkeys int        `json:"pushkeys"`
}

func (f *fuse) status(app string) FuseStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.young.total().plus(f.old.total())
	s := FuseStatus{
		App: app, Dead: all.dead, Pushkeys: all.all, Unrecorded: f.unrecorded, Tripped: present(f.app.since()), Alarm: present(f.app.alarm),
	}
	for host, p := range f.hosts {
		s.Alarm = earlier(s.Alarm, present(p.alarm))
		if f.app.holds(!p.known.IsZero()) { // the whole app's rejections are held
			continue
		}
		of := f.of(host).all
		s.Hosts = append(s.Hosts, HostFuseStatus{host, p.since(), present(p.alarm), of.dead, of.all})
		s.Tripped = earlier(s.Tripped, present(p.since()))
	}
	slices.SortFunc(s.Hosts, func(a, b HostFuseStatus) int { return cmp.Compare(a.Host, b.Host) })
	return s
}

// earlier returns the earlier of two times. Either may be absent.
func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// holds reports whether an app's rejections from a host are held, for known devices or for others.
func (f *fuse) holds(host string, known bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.app.holds(known) || f.hosts[host].holds(known)
}

// alarms reports whether held rejections from a host alert the operator.
func (f *fuse) alarms(host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.app.alarm.IsZero() || !f.hosts[host].alarm.IsZero()
}
