package file

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// maxPage bounds a page: pushes on their way wait while it is made.
const maxPage = 1000

func (d *database) depths() (depths []outbox.Depth, err error) {
	err = d.Enter(func() error {
		depths = d.index.depths()
		return nil
	})
	slices.SortFunc(depths, func(a, b outbox.Depth) int { return cmp.Compare(a.App, b.App) })
	return depths, err
}

// list pages by sequence number, which is the order in which entries were accepted. A cursor is the last number of its page.
func (d *database) list(app, cursor string, limit int) (page []outbox.Waiting, next string, err error) {
	var after uint64
	err = d.Enter(func() error {
		if cursor != "" {
			if after, err = strconv.ParseUint(cursor, 10, 64); err != nil {
				return outbox.ErrCursor
			}
		}
		var more bool
		if page, after, more = d.index.list(app, after, max(1, min(limit, maxPage)), time.Now()); more {
			next = strconv.FormatUint(after, 10)
		}
		return nil
	})
	return page, next, err
}

func (d *database) rouseDevice(app string, device [16]byte) (found bool, err error) {
	err = d.Enter(func() error {
		found = d.index.rouseDevice(app, device, time.Now())
		return nil
	})
	return found, err
}

// rouseHost makes devices of a host due.
func (d *database) rouseHost(app, host string, most int) (due int, err error) {
	err = d.Enter(func() error {
		due = d.index.rouseHost(app, host, most, time.Now())
		return nil
	})
	return due, err
}

// drop takes the entries out of the index first, so no entry is leased while it is being removed.
func (d *database) drop(ctx context.Context, app string, device [16]byte, id string) (dropped int, err error) {
	err = d.Enter(func() error {
		places := d.index.withdraw(app, device, id, time.Now())
		if len(places) == 0 {
			return nil
		}
		err := d.remove(ctx, places, func(err error) {
			if err != nil {
				d.index.restore(places...)
			}
		})
		if err == nil {
			dropped = len(places)
		}
		return err
	})
	return dropped, err
}

// depths takes a moment for each app, however many pushes are pending: 100 ns with 100,000 entries.
func (x *index) depths() (depths []outbox.Depth) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for app, q := range x.queues {
		if len(q.devices) > 0 {
			first := q.roll.expiry[0]
			depths = append(depths, outbox.Depth{
				App: app, Entries: len(q.roll.expiry), Devices: len(q.devices), Oldest: first.accepted,
				Full: x.bounds.Full(q.room.known()),
			})
		}
	}
	return depths
}

// list returns an app's entries after a sequence number, the number of the last of them, and whether there are more.
func (x *index) list(app string, after uint64, most int, now time.Time) (page []outbox.Waiting, last uint64, more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queues[app]
	if q == nil {
		return nil, after, false
	}
	items, more := q.roll.after(after, most)
	page = make([]outbox.Waiting, 0, len(items))
	for _, it := range items {
		page = append(page, it.show(app, now))
		after = it.seq
	}
	return page, after, more
}

// show returns what an operator may see of an entry.
func (it *item) show(app string, now time.Time) outbox.Waiting {
	d := it.device
	w := outbox.Waiting{
		ID: it.id, App: app, Device: d.key, Host: it.host.Value(), Replace: it.replace.Value(), Size: it.size,
		Group: it.group.Value(), Standing: it.standing,
		Accepted: it.accepted, Expires: it.expires, Due: d.due, Attempts: d.tries, Running: !d.idle(it, now),
	}
	if w.Running && it.id != d.holder {
		w.Due = it.runs
	}
	return w
}

// rouseDevice makes a device due unless it is leased, and reports whether it has entries.
func (x *index) rouseDevice(app string, key [16]byte, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queues[app]
	if q == nil || q.devices[key] == nil {
		return false
	}
	if d := q.devices[key]; d.holder == "" && d.due.After(now) {
		q.reschedule(d, now, d.tries)
	}
	return true
}
