package redis

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// lease waits until devices are due, and leases them. The shards are asked one after the other until there are enough. A shard that does not
// answer at once holds nobody up: its answer is granted when it comes.
func (q *queue) lease(ctx context.Context, app string, n int) ([]outbox.Leased, error) {
	d := q.desks.of(app)
	d.enter()
	defer func() { go q.giveBack(d.leave()) }() // the queue stays open as long as leases are held
	for {
		changed, over := d.watch(), ctx.Done()
		err := cmp.Or(ctx.Err(), q.unusable())
		wait, more := time.Until(never), false
		if err == nil {
			wait, more = q.ask(ctx, d, app, n)
		}
		if !more {
			if leased := d.collect(n); len(leased) > 0 {
				return leased, nil
			}
		}
		if err != nil {
			if !d.expects() {
				return nil, err
			}
			over = nil // otherwise nobody would have the entries until the leases lapse
		}
		timer := time.NewTimer(wait)
		select {
		case <-over:
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// unusable returns why there is no shard to lease from, or nil if there is one.
func (q *queue) unusable() error {
	if !q.Opened() {
		return outbox.ErrNotOpen
	}
	var trouble *error
	for _, s := range q.shards {
		if trouble = s.trouble.Load(); trouble == nil {
			return nil
		}
	}
	return *trouble
}

// ask asks the next shard for due devices, if there is one to ask now. It returns when to look again, and whether that is for an answer.
func (q *queue) ask(ctx context.Context, d *desk, app string, n int) (wait time.Duration, more bool) {
	number, most, wait, more := d.choose(time.Now(), n, func(n int) bool { return q.shards[n].trouble.Load() == nil })
	if number < 0 {
		return wait, more
	}
	s, attempt := q.shards[number], fmt.Sprintf("lease %d %s", number, app)
	q.Hold(attempt) // the queue stays open until the answer has come
	go func() {
		defer q.LetGo(ctx, attempt)
		leased, next, err := s.take(ctx, app, most)
		if err != nil {
			s.fails(err)
			next = time.Time{} // as soon as it works again
		}
		q.giveBack(d.answered(number, leased, next))
	}()
	return wait, more
}

// giveBack ends leases that nobody waits for any more.
func (q *queue) giveBack(orphans []outbox.Leased) {
	if len(orphans) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), outbox.WriteTime)
	defer cancel()
	for i := range orphans {
		r := orphans[i].Ref()
		if err := q.of(r.Device).release(ctx, r, time.Now(), false); err != nil {
			q.Log().Debug("a lease that nobody needs cannot be ended", "app", r.App, "error", err)
		}
	}
}

// take leases the devices of a shard that are due, and returns when to ask again. It removes entries that have become unreadable, as nobody
// can deliver them. The end of the context does not interrupt it: otherwise nobody would have the leased entries until the leases lapse.
func (s *shard) take(ctx context.Context, app string, n int) (leased []outbox.Leased, next time.Time, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outbox.AskTime)
	defer cancel()
	keys := append(s.keys.of(app), s.keys.shards)
	answer, err := s.ask(ctx, leaseScript, keys, s.queue.owner, n, outbox.LeaseTime.Milliseconds(), len(s.queue.shards))
	if err != nil {
		return nil, next, err
	}
	v := read(answer)
	ms := v.number()
	if err := v.err(); err != nil {
		return nil, next, err
	}
	if ms == otherShards {
		return nil, next, s.wrongNumber()
	}
	for len(v.rest) > 0 {
		r := outbox.Ref{App: app, Device: deviceOf(v.text()), ID: v.text()}
		push, attempts := v.text(), v.number()
		if s.owed.has(r) {
			_ = s.settle(ctx, r) // on an error, it is retried later
			continue
		}
		e, err := decode(push)
		if err != nil {
			s.unreadable(ctx, r)
			continue
		}
		s.queue.Hold(e.ID)
		leased = append(leased, outbox.Leased{Entry: *e, Attempts: int(attempts)})
	}
	if ms < 0 {
		return leased, never, nil
	}
	return leased, time.Now().Add(time.Duration(ms * int64(time.Millisecond))), nil
}

// unreadable logs an entry that cannot be read, and removes it. A device that cannot be read stays.
func (s *shard) unreadable(ctx context.Context, r outbox.Ref) {
	s.queue.Log().Error("unreadable entry in the outbox", "app", r.App)
	if r.ID == "" {
		return
	}
	if err := s.settle(ctx, r); err != nil {
		s.queue.Log().Error("an unreadable entry cannot be removed from the outbox", "app", r.App, "error", err)
	}
	s.queue.losses.Lost(r.App, outbox.LossUnreadable, 1)
}
