package checker

import (
	"fmt"
	"strings"
	"time"
)

// history is what is known about one device.
type history struct {
	name   string
	events map[string]*event
	taken  []Push // in the order in which they were taken
	died   []death
	// refused has when the push service did not take a push, and outages those of the store that has the device's pushes.
	refused []time.Time
	outages []Outage
	// badges has the time of the first badge update for each registration.
	badges map[int64]time.Time
}

// event is what is known about one event for one device.
type event struct {
	name string
	// sent is when it was first sent, and answered when it was first answered with 200.
	sent, answered time.Time
	expires        time.Time
	pushkeyTS      int64 // the newest one that it was sent with
	rejected       bool
	taken          []Push
}

// death is an answer of the push service that a pushkey is dead.
type death struct {
	time time.Time
	// of is the event whose push got the answer. It is nil for a badge update.
	of *event
	// pushkeyTS is the registration of the push, and since the time in the answer.
	pushkeyTS, since int64
}

// read sorts the logs by device.
func (r *Report) read(requests []Request, pushes []Push) map[string]*history {
	devices := make(map[string]*history)
	for i := range requests {
		q := &requests[i]
		switch q.Status {
		case 200:
			r.Accepted++
		case 0:
			r.Unanswered++
		default:
			r.Refused++
		}
		for _, d := range q.Devices {
			if devices[d.Name] == nil {
				devices[d.Name] = &history{name: d.Name, events: make(map[string]*event), badges: make(map[int64]time.Time)}
			}
			devices[d.Name].asked(q, d.PushkeyTS)
		}
	}
	for _, p := range pushes {
		d := devices[p.Device]
		if d == nil {
			d = &history{name: p.Device}
			devices[p.Device] = d
		}
		if !d.pushed(p) {
			r.find(Invented, d, &event{name: p.Event}, "pushed at %s; no homeserver had sent it", clock(p.Time))
		}
	}
	return devices
}

// asked records a request.
func (d *history) asked(q *Request, pushkeyTS int64) {
	if q.Event == "" {
		if _, ok := d.badges[pushkeyTS]; !ok {
			d.badges[pushkeyTS] = q.Sent
		}
		return
	}
	e := d.events[q.Event]
	if e == nil {
		e = &event{name: q.Event, sent: q.Sent}
		d.events[q.Event] = e
	}
	e.pushkeyTS = max(e.pushkeyTS, pushkeyTS)
	e.expires = q.Expires
	if q.Status != 200 {
		return
	}
	if e.answered.IsZero() || q.Answered.Before(e.answered) {
		e.answered = q.Answered
	}
	for _, name := range q.Rejected {
		e.rejected = e.rejected || name == d.name
	}
}

// pushed records a push, and reports whether a homeserver had sent it.
func (d *history) pushed(p Push) bool {
	e := d.events[p.Event]
	if p.Event == "" {
		ts, ok := d.badgeAt(p.Time)
		if ok && p.Dead {
			d.died = append(d.died, death{time: p.Time, pushkeyTS: ts, since: p.Since})
		}
		return ok
	}
	if e == nil || p.Time.Before(e.sent) {
		return false
	}
	if p.Taken {
		d.taken = append(d.taken, p)
		e.taken = append(e.taken, p)
	}
	if !p.Taken {
		d.refused = append(d.refused, p.Time)
	}
	if p.Dead {
		d.died = append(d.died, death{time: p.Time, of: e, pushkeyTS: e.pushkeyTS, since: p.Since})
	}
	return true
}

// badgeAt returns the newest registration that was sent with a badge update by then.
func (d *history) badgeAt(t time.Time) (pushkeyTS int64, ok bool) {
	for ts, first := range d.badges {
		if !first.After(t) {
			pushkeyTS, ok = max(pushkeyTS, ts), true
		}
	}
	return pushkeyTS, ok
}

// dead reports whether the push service had reported a registration as dead by then: this one or a later one, or all before a time. A
// registration without a pushkey_ts counts as older than all.
func (d *history) dead(pushkeyTS int64, by time.Time) bool {
	for _, x := range d.died {
		if !x.time.After(by) && (pushkeyTS <= x.pushkeyTS || pushkeyTS < x.since) {
			return true
		}
	}
	return false
}

// buries reports whether an event need not have arrived, because its device was dead. The push service reported that for this push, or for one
// of the same registration or a later one that must not overtake this one.
func (d *history) buries(e *event) bool {
	for _, x := range d.died {
		switch {
		case x.of == e:
			return true
		case e.pushkeyTS > x.pushkeyTS && e.pushkeyTS >= x.since:
		case x.of == nil && x.time.After(e.sent):
			return true
		case x.of != nil && !x.of.sent.After(e.answered):
			return true
		}
	}
	return false
}

func (d *history) deaths() string {
	if d == nil || len(d.died) == 0 {
		return "nothing"
	}
	var b strings.Builder
	for i, x := range d.died {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "that of %d at %s", x.pushkeyTS, clock(x.time))
		if x.since != 0 {
			fmt.Fprintf(&b, " as of %d", x.since)
		}
	}
	return b.String()
}
