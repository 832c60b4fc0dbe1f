package redis

import (
	"context"
	"errors"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// pollInterval bounds the time until changes by other gateways are noticed.
	pollInterval = 500 * time.Millisecond
	// pollAhead is how far a poll looks ahead, so a device that becomes due between two polls is leased in time.
	pollAhead = 2 * pollInterval
)

// otherShards is the answer of lease.lua and poll.lua if the outbox has another number of shards by now.
const otherShards = -2

// errShards means that the number of shards was changed.
var errShards = errors.New("the outbox has another number of shards by now, or its pushes are being moved: load the same number on all gateways")

// pollEvery learns which apps have devices due in a shard, until the context ends. That is one command, however many apps there are. A shard
// is leased from only while it can be polled.
func (s *shard) pollEvery(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.trouble.Load() == nil && !s.queue.desks.busy() {
			continue
		}
		if err := s.poll(ctx); err == nil {
			s.works()
		} else if ctx.Err() == nil {
			s.fails(err)
		}
	}
}

// poll learns which apps have devices that are due soon.
func (s *shard) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, outbox.AskTime)
	defer cancel()
	answer, err := s.ask(ctx, pollScript, []string{s.keys.apps, s.keys.shards}, s.keys.due, pollAhead.Milliseconds(), len(s.queue.shards))
	if err != nil {
		return err
	}
	v := read(answer)
	if v.number() == otherShards || s.queue.refused.Load() != nil {
		return s.wrongNumber()
	}
	now := time.Now()
	for len(v.rest) > 0 {
		app, ms := v.text(), v.number()
		s.queue.desks.due(app, s.number, now.Add(time.Duration(ms*int64(time.Millisecond))))
	}
	return v.err()
}

// soon has an app's devices in this shard leased soon, because this process has changed something.
func (s *shard) soon(app string) { s.queue.desks.due(app, s.number, time.Now()) }

// fails notes that a shard cannot be leased from. If it is one of several, nobody else reports that.
func (s *shard) fails(err error) {
	if errors.Is(err, outbox.ErrNotOpen) {
		return
	}
	if s.trouble.Swap(&err) != nil {
		return
	}
	s.queue.desks.wake()
	if len(s.queue.shards) > 1 {
		s.queue.Log().Error("a shard of the outbox cannot be used; only its devices are affected", "shard", s.number, "error", err)
	}
}

// works notes that a shard can be leased from.
func (s *shard) works() {
	if s.trouble.Swap(nil) == nil {
		return
	}
	s.queue.desks.wake()
	if len(s.queue.shards) > 1 {
		s.queue.Log().Info("a shard of the outbox can be used again", "shard", s.number)
	}
}

// answers notes that a shard has answered, so an outage is over.
func (s *shard) answers() {
	if trouble := s.trouble.Load(); trouble != nil && !errors.Is(*trouble, errShards) && !errors.Is(*trouble, errRefused) {
		s.works()
	}
}
