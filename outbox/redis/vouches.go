package redis

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// vouches has the vouches that are not written yet. In Redis, they are one sorted set, by when they end.
type vouches struct {
	mu      sync.Mutex
	waiting map[[16]byte]time.Time
	most    int // in Redis
}

func newVouches() *vouches {
	return &vouches{waiting: make(map[[16]byte]time.Time), most: outbox.MaxVouched}
}

// add keeps the later of two times. Above the bound, new keys are forgotten.
func (v *vouches) add(key [16]byte, until time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if before, ok := v.waiting[key]; (ok || len(v.waiting) < maxNotes) && until.After(before) {
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

func (q *queue) vouch(key [16]byte, until time.Time) {
	_ = q.enter(func() error {
		q.vouches.add(key, until)
		q.notes.signal()
		return nil
	})
}

// flushVouches writes the waiting vouches.
func (q *queue) flushVouches(ctx context.Context) error {
	taken := q.vouches.take()
	args := make([]any, 0, 2*len(taken))
	for key, until := range taken {
		if ms := delay(until); ms > 0 {
			args = append(args, key[:], clamp(ms))
		}
	}
	for some := range slices.Chunk(args, 2*maxBatch) {
		if err := vouchScript.Run(ctx, q.Client, []string{q.keys.vouched}, append([]any{q.vouches.most}, some...)...).Err(); err != nil {
			for key, until := range taken {
				q.vouches.add(key, until)
			}
			return err
		}
	}
	return nil
}

// vouched reads the vouches that still count by Redis' clock.
func (q *queue) vouched(ctx context.Context, yield func(key [16]byte)) error {
	return q.enter(func() error {
		server, err := q.Client.On(ctx, q.keys.vouched)
		if err != nil {
			return err
		}
		now, err := server.Time(ctx).Result()
		if err != nil {
			return err
		}
		for cursor := uint64(0); ; {
			pairs, next, err := q.Client.ZScan(ctx, q.keys.vouched, cursor, "", maxBatch).Result()
			if err != nil {
				return err
			}
			for pair := range slices.Chunk(pairs, 2) {
				if len(pair) == 2 && len(pair[0]) == len([16]byte{}) && endsAfter(pair[1], now) {
					yield([16]byte([]byte(pair[0])))
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
