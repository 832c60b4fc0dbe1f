package file

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// place is an entry and its location.
type place struct {
	app    string
	device [16]byte
	item   *item
}

func (p place) ref() outbox.Ref { return outbox.Ref{App: p.app, Device: p.device, ID: p.item.id} }

// older returns a device's entries except those of a later registration. It also returns the sequence numbers of such entries that are
// being written. Those have no effect when they arrive, nor has one that is accepted late.
func (x *index) older(app string, key [16]byte, pushkeyTS int64, now time.Time) (found []place, coming []uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.graves.buryOlder(app, key, pushkeyTS, now)
	q := x.queue(app)
	if d := q.devices[key]; d != nil {
		for _, it := range d.items {
			if it.pushkeyTS <= pushkeyTS {
				found = append(found, place{app, key, it})
			}
		}
	}
	for r, it := range x.out {
		if r.App == app && r.Device == key && it.pushkeyTS <= pushkeyTS {
			it.leaving = true
		}
	}
	for _, a := range q.coming[key] {
		if a.e.PushkeyTS <= pushkeyTS {
			a.gone = true
			coming = append(coming, a.seq)
		}
	}
	return found, coming
}

// drop forgets entries that were removed.
func (x *index) drop(places ...place) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range places {
		x.queue(p.app).remove(p.device, p.item.seq)
	}
}

// expired returns the entries that have expired, except those that may have an attempt under way.
func (x *index) expired(now time.Time, most int) (found []place) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for app, q := range x.queues {
		for _, d := range q.devices {
			for _, it := range d.items {
				if len(found) == most {
					return found
				}
				if now.After(it.expires) && d.idle(it, now) {
					found = append(found, place{app, d.key, it})
				}
			}
		}
	}
	return found
}

// withdraw forgets a device's entries, or the one with the ID, except those that may have an attempt under way. The device's due time does
// not change.
func (x *index) withdraw(app string, key [16]byte, id string, now time.Time) (places []place) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queues[app]
	if q == nil || q.devices[key] == nil {
		return nil
	}
	d := q.devices[key]
	for _, it := range d.items {
		if (id == "" || it.id == id) && d.idle(it, now) {
			places = append(places, place{app, key, it})
		}
	}
	for _, p := range places {
		q.withdraw(p)
	}
	return places
}

// withdraw forgets an entry at which no attempt can be under way.
func (q *queue) withdraw(p place) {
	if d := p.item.device; d.holder == p.item.id {
		d.holder = "" // a lease that has lapsed
	}
	q.remove(p.device, p.item.seq)
}

// restore adds entries again that could not be removed.
func (x *index) restore(places ...place) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range places {
		x.queue(p.app).restore(p)
	}
}

func (q *queue) restore(p place) {
	d := q.devices[p.device]
	if d == nil { // it had no other entries
		d = p.item.device
		q.admit(d)
	}
	q.room.book(p.item.standing, p.item.group, p.item.size, 1)
	q.enlist(d, p.item)
}
