package gateway

import "time"

// part is the state of a fuse for an app, or for one of its hosts.
type part struct {
	// all and known are since when the part is tripped; zero while it is not. The count of all devices trips it for strangers, and the
	// count of known devices trips it for every device.
	all, known time.Time
	// alarm is since when the known devices would trip it by themselves. That alerts the operator.
	alarm time.Time
}

func (p part) tripped() bool { return !p.all.IsZero() || !p.known.IsZero() }

// since returns when the part first tripped.
func (p part) since() time.Time {
	if p.all.IsZero() || !p.known.IsZero() && p.known.Before(p.all) {
		return p.known
	}
	return p.all
}

// holds reports whether a verdict on a device is not believed.
func (p part) holds(known bool) bool { return !p.known.IsZero() || !known && !p.all.IsZero() }

// weigh trips or resets the part. While it is tripped for strangers, fewer known devices are enough, because there may be only a few.
func (p *part) weigh(c census, o FuseOptions, now time.Time) {
	turn(&p.all, c.all.over(o.Share, fuseMin), o, now)
	least := fuseMin
	if !p.all.IsZero() {
		least = 1
	}
	turn(&p.known, c.known.over(o.Share, least), o, now)
	switch {
	case p.known.IsZero():
		p.alarm = time.Time{}
	case p.alarm.IsZero() && c.known.over(o.Share, fuseMin):
		p.alarm = now
	}
}

func turn(since *time.Time, over bool, o FuseOptions, now time.Time) {
	switch {
	case over && since.IsZero():
		*since = now
	case !over && !since.IsZero() && now.Sub(*since) >= o.Window/tripPart:
		*since = time.Time{}
	}
}

func (f *fuse) judgeHost(host string, o FuseOptions, now time.Time, s *fuseState) {
	c, was := f.of(host), f.hosts[host]
	next := was
	next.weigh(c, o, now)
	if next == was || !was.tripped() && !f.hasPlace(next) {
		return
	}
	if next.tripped() {
		f.hosts[host] = next
	} else {
		delete(f.hosts, host)
	}
	f.mark(host, next)
	f.became(host, was, next, c, s)
}

// hasPlace reports whether there is room for another tripped host. A host that is tripped for strangers makes way for one that is
// tripped for known devices.
func (f *fuse) hasPlace(next part) bool {
	if len(f.hosts) < maxFuseHosts {
		return true
	}
	if next.known.IsZero() {
		return false
	}
	for host, other := range f.hosts {
		if other.known.IsZero() {
			delete(f.hosts, host)
			f.mark(host, part{})
			f.changed(host)
			return true
		}
	}
	return false
}

// mark sets which of a host's pushkeys count for the app.
func (f *fuse) mark(host string, p part) {
	for _, h := range []*fuseHalf{&f.young, &f.old} {
		h.known.mark(host, !p.known.IsZero())
		h.strange.mark(host, p.tripped())
	}
}

func (f *fuse) judge(o FuseOptions, now time.Time, s *fuseState) {
	c, was := f.inApp(), f.app
	f.app.weigh(c, o, now)
	if f.app != was {
		f.became("", was, f.app, c, s)
	}
}

// became collects the consequences of a part's change.
func (f *fuse) became(host string, was, is part, c census, s *fuseState) {
	all, known := was.all.IsZero() && !is.all.IsZero(), was.known.IsZero() && !is.known.IsZero()
	alarm := was.alarm.IsZero() && !is.alarm.IsZero()
	if all || known || alarm {
		s.trips = append(s.trips, trip{
			host: host, pushkeys: c.all.dead, told: alarm || !was.tripped(), alarm: alarm,
			dead: f.exhume(func(g grave) bool { return (host == "" || g.host == host) && (!is.known.IsZero() || !g.known) }),
		})
	}
	if over := !was.alarm.IsZero() && is.alarm.IsZero(); over || was.tripped() && !is.tripped() {
		s.resets = append(s.resets, reset{host, over})
	}
	f.changed(host)
}
