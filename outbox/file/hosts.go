package file

import (
	"container/heap"
	"math/rand/v2"
	"time"
	"unique"
)

// house files a device under the host that its first entry goes to, so a host's devices are found without looking at all devices.
func (q *queue) house(d *device) {
	host := d.items[0].host
	if d.housed && d.host == host {
		return
	}
	q.unhouse(d)
	d.host, d.seat, d.housed = host, len(q.hosts[host]), true
	q.hosts[host] = append(q.hosts[host], d)
}

func (q *queue) unhouse(d *device) {
	if !d.housed {
		return
	}
	d.housed = false
	devices := q.hosts[d.host]
	last := len(devices) - 1
	devices[d.seat] = devices[last]
	devices[d.seat].seat = d.seat
	devices[last] = nil
	if last == 0 {
		delete(q.hosts, d.host)
	} else {
		q.hosts[d.host] = devices[:last]
	}
}

// rouseHost makes devices of a host due that are not leased, until so many of them are due, or all if most is 0. It returns how many are
// due. It begins at a random device, so a host is not always tried with the same one.
func (x *index) rouseHost(app, host string, most int, now time.Time) (due int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queues[app]
	if q == nil {
		return 0
	}
	devices := q.hosts[unique.Make(host)]
	if len(devices) == 0 {
		return 0
	}
	if most <= 0 {
		most = len(devices)
	}
	for _, d := range devices {
		if !d.due.After(now) { // a past lease has lapsed
			if due++; due == most {
				return due
			}
		}
	}
	at := rand.IntN(len(devices)) //nolint:gosec // no secret
	for range devices {
		d := devices[at]
		if d.holder == "" && d.due.After(now) {
			d.due = now
			heap.Fix(&q.order, d.ordinal)
			if due++; due == most {
				break
			}
		}
		at = (at + 1) % len(devices)
	}
	q.wake()
	return due
}
