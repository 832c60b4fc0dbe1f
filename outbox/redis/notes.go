package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// noteDelay is how long a note waits for others to join. A crash loses the notes of that time.
	noteDelay = 100 * time.Millisecond
	// noteRetry is the wait after Redis took no notes.
	noteRetry = time.Second
	// maxNotes bounds how many notes wait meanwhile.
	maxNotes = 100_000
	// lastWords bounds how long a process that ends tries to write the waiting notes.
	lastWords = 2 * time.Second
)

// maxNoted bounds the events that a shard remembers, unless the configuration does. It is not divided among the shards: with more pushes a
// second, there are more shards, and each event should be remembered for as long as before.
const maxNoted = 1_000_000

// notes has the delivered events that are not written yet.
type notes struct {
	mu      sync.Mutex
	waiting map[[16]byte]note
	noted   chan struct{}
	room    int          // in memory
	most    atomic.Int64 // in the shard

	flushing sync.Mutex // one at a time: after a flush, everything is written
}

// note has the end of an event's time. If the event is known, Redis remembers it already and must only count it.
type note struct {
	until time.Time
	known bool
}

func newNotes(shards int) *notes {
	n := &notes{
		waiting: make(map[[16]byte]note), noted: make(chan struct{}, 1),
		room: redisclient.Portion(maxNotes, shards),
	}
	n.most.Store(maxNoted)
	return n
}

func (n *notes) add(event [16]byte, one note) {
	n.mu.Lock()
	if before, ok := n.waiting[event]; ok || len(n.waiting) < n.room {
		one.known = one.known && (!ok || before.known)
		n.waiting[event] = one
	}
	n.mu.Unlock()
	n.signal()
}

// signal makes writeNotes write soon.
func (n *notes) signal() {
	select {
	case n.noted <- struct{}{}:
	default:
	}
}

func (n *notes) take() map[[16]byte]note {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.waiting
	n.waiting = make(map[[16]byte]note)
	return taken
}

func (n *notes) giveBack(taken map[[16]byte]note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.Copy(taken, n.waiting) // the newer ones count
	n.waiting = taken
}

func (s *shard) note(event [16]byte, until time.Time) {
	_ = s.enter(func() error {
		s.notes.add(event, note{until: until})
		return nil
	})
}

// noteOf counts the event of an accepted entry among the remembered ones: accept.lua remembers it without counting it.
func (s *shard) noteOf(e *outbox.Entry) {
	if e.Event != ([16]byte{}) {
		s.notes.add(e.Event, note{e.EventUntil, true})
	}
}

// writeNotes writes notes and settles owed entries until the context ends, and then once more.
func (s *shard) writeNotes(ctx context.Context) {
	for failing := false; ; {
		var retry <-chan time.Time
		if failing {
			retry = time.After(noteRetry)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), lastWords)
			defer cancel()
			if err := s.flush(last); err != nil {
				s.queue.Log().Error("delivered events cannot be remembered", "error", err)
			}
			return
		case <-s.notes.noted:
			if failing {
				continue // until the retry is due
			}
			pause(ctx, noteDelay)
		case <-retry:
		}
		err := s.flush(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.queue.Log().Error("delivered events cannot be remembered; retrying", "error", err)
		}
		failing = err != nil
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// flush writes notes and vouches, and settles owed entries.
func (s *shard) flush(ctx context.Context) error {
	s.notes.flushing.Lock()
	defer s.notes.flushing.Unlock()
	return errors.Join(s.flushNotes(ctx), s.flushVouches(ctx), s.settleOwed(ctx))
}

func (s *shard) flushNotes(ctx context.Context) error {
	taken := s.notes.take()
	if len(taken) == 0 {
		return nil
	}
	args := make([]any, 0, len(taken)*3)
	for event, one := range taken {
		if ms := delay(one.until); ms > 0 {
			write := "1"
			if one.known {
				write = "0"
			}
			args = append(args, hex.EncodeToString(event[:]), clamp(ms), write)
		}
	}
	base := strings.TrimSuffix(s.keys.event([16]byte{}), hex.EncodeToString(make([]byte, 16)))
	for some := range slices.Chunk(args, 3*maxBatch) {
		args := append([]any{base, s.notes.most.Load()}, some...)
		early, err := noteScript.Run(ctx, s.queue.Client, []string{s.keys.events}, args...).Int()
		if err != nil {
			s.notes.giveBack(taken)
			return err
		}
		s.forgot(early)
	}
	return nil
}

// forgot reports that the shard had to forget events early.
func (s *shard) forgot(events int) {
	if report := s.queue.forgot.Load(); events > 0 && report != nil && *report != nil {
		(*report)(events)
	}
}

// claim claims an event. An event that is done needs no other delivery, so its answer is worth as much as that of an accepted push. If it is
// not confirmed, it counts as taken: the homeserver sends it again.
func (s *shard) claim(ctx context.Context, event [16]byte, want redisclient.Acknowledge) (outbox.Claim, error) {
	keys, args := []string{s.keys.event(event)}, []any{s.queue.owner, outbox.LeaseTime.Milliseconds()}
	reply, err := s.ask(ctx, claimScript, keys, args...)
	if err != nil {
		return outbox.Claimed, err
	}
	claim, err := claimOf(reply)
	if claim != outbox.Done || want == (redisclient.Acknowledge{}) {
		return claim, err
	}
	if reply, err = s.changeSurely(ctx, want, claimScript, keys, args...); err != nil {
		return outbox.Taken, nil //nolint:nilerr // an error would mean that it may be delivered again
	}
	return claimOf(reply)
}

func claimOf(reply *redis.Cmd) (outbox.Claim, error) {
	switch n, err := reply.Int(); {
	case err != nil || n < 0 || n > 2:
		return outbox.Claimed, errNonsense
	case n == 2:
		return outbox.Done, nil
	case n == 1:
		return outbox.Taken, nil
	default:
		return outbox.Claimed, nil
	}
}

func (s *shard) unclaim(ctx context.Context, event [16]byte) error {
	_, err := s.ask(ctx, unclaimScript, []string{s.keys.event(event)}, s.queue.owner)
	return err
}

// recall reads the events that still count by Redis' clock.
func (s *shard) recall(ctx context.Context, yield func(event [16]byte)) error {
	return s.scan(ctx, s.keys.events, func(member string) {
		if event, err := hex.DecodeString(member); err == nil && len(event) == len([16]byte{}) {
			yield([16]byte(event))
		}
	})
}

// scan reads the members of a sorted set whose scores, which are times, are not over by Redis' clock.
func (s *shard) scan(ctx context.Context, key string, yield func(member string)) error {
	return s.enter(func() error {
		server, err := s.queue.Client.On(ctx, key)
		if err != nil {
			return err
		}
		now, err := server.Time(ctx).Result()
		if err != nil {
			return err
		}
		for cursor := uint64(0); ; {
			pairs, next, err := s.queue.Client.ZScan(ctx, key, cursor, "", maxBatch).Result()
			if err != nil {
				return err
			}
			for pair := range slices.Chunk(pairs, 2) {
				if len(pair) == 2 && endsAfter(pair[1], now) {
					yield(pair[0])
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
}

func endsAfter(score string, now time.Time) bool {
	ms, err := strconv.ParseFloat(score, 64)
	return err == nil && ms > float64(now.UnixMilli())
}
