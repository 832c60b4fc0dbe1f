package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// vouches has the vouches that are not written yet. In Redis, they are one sorted set, by when they end.
type vouches struct {
	mu      sync.Mutex
	waiting map[[16]byte]time.Time
	room    int // in memory
	most    int // in Redis
}

func newVouches(shards int) *vouches {
	return &vouches{
		waiting: make(map[[16]byte]time.Time),
		room:    redisclient.Portion(maxNotes, shards), most: redisclient.Portion(outbox.MaxVouched, shards),
	}
}

// add keeps the later of two times. Above the bound, new keys are forgotten.
func (v *vouches) add(key [16]byte, until time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if before, ok := v.waiting[key]; (ok || len(v.waiting) < v.room) && until.After(before) {
		v.waiting[key] = until
	}
}

func (v *vouches) take() map[[16]byte]time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	taken := v.waiting
	v.waiting = make(map[[16]byte]time.Time)
	return taken
}

func (s *shard) vouch(key [16]byte, until time.Time) {
	_ = s.enter(func() error {
		s.vouches.add(key, until)
		s.notes.signal()
		return nil
	})
}

// flushVouches writes the waiting vouches.
func (s *shard) flushVouches(ctx context.Context) error {
	taken := s.vouches.take()
	args := make([]any, 0, 2*len(taken))
	for key, until := range taken {
		if ms := delay(until); ms > 0 {
			args = append(args, key[:], clamp(ms))
		}
	}
	for some := range slices.Chunk(args, 2*maxBatch) {
		if err := vouchScript.Run(ctx, s.queue.Client, []string{s.keys.vouched}, append([]any{s.vouches.most}, some...)...).Err(); err != nil {
			for key, until := range taken {
				s.vouches.add(key, until)
			}
			return err
		}
	}
	return nil
}

// vouched reads the vouches that still count by Redis' clock.
func (s *shard) vouched(ctx context.Context, yield func(key [16]byte)) error {
	return s.scan(ctx, s.keys.vouched, func(member string) {
		if len(member) == len([16]byte{}) {
			yield([16]byte([]byte(member)))
		}
	})
}
