package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
)

const (
	// movePause is how long a move waits for attempts under way before it looks again.
	movePause = 200 * time.Millisecond
	// maxMoves is how many devices are moved at the same time.
	maxMoves = 16
)

// errOtherMove means that the number of shards was changed by somebody else meanwhile.
var errOtherMove = errors.New("shards: the number was changed by another gateway meanwhile; try again")

// move is the change from one number of shards to that of the configuration.
type move struct {
	*queue
	want     redisclient.Acknowledge
	name     string   // both numbers, as Redis has them
	places   []*shard // all shards of either number
	tell     func(moved int)
	moved    atomic.Int64
	strange  atomic.Int64 // devices that cannot be read
	underWay atomic.Int64 // devices with an attempt under way
}

// move moves all pending pushes to the shards of the configuration. If it is interrupted, it can be repeated. Each step leaves every push in
// at least one shard, and no gateway takes or leases a push before the last step. A push that is in two shards is there once in the end.
func (q *queue) move(ctx context.Context, want redisclient.Acknowledge, tell func(moved int)) error {
	was, err := q.stored(ctx)
	if err != nil {
		return err
	}
	if was == q.own() {
		if err := q.mark(ctx); !errors.Is(err, errRefused) {
			return err
		}
	}
	m := &move{queue: q, want: want, tell: tell}
	from, err := m.from(was)
	if err != nil {
		return err
	}
	m.name, m.places = fmt.Sprintf("%d%s%s", from, arrow, q.own()), q.others(from)
	if from != len(q.shards) {
		m.places = append(unlike(m.places, q.shards), q.shards...)
	}
	if err := m.begin(ctx, was); err != nil {
		return err
	}
	if err := m.run(ctx); err != nil {
		return err
	}
	if err := m.finish(ctx); err != nil {
		return err
	}
	if n := m.strange.Load(); n > 0 {
		return fmt.Errorf("shards: all pushes were moved except those of %d devices, which cannot be read", n)
	}
	return nil
}

// from returns the number of shards to move from, besides the configuration's. A move that was interrupted can be finished or taken back.
func (m *move) from(was string) (int, error) {
	from, to, moving := strings.Cut(was, arrow)
	switch {
	case !moving || to == m.own():
		return parse(from)
	case from == m.own():
		return parse(to)
	default:
		return 0, fmt.Errorf("shards: moving the pending pushes from %s to %s shards was not finished: move them to one of these first", from, to)
	}
}

// unlike returns the shards whose keys no other one has.
func unlike(shards, others []*shard) (rest []*shard) {
	names := make(map[string]bool)
	for _, s := range others {
		names[s.keys.base] = true
	}
	for _, s := range shards {
		if !names[s.keys.base] {
			rest = append(rest, s)
		}
	}
	return rest
}

// begin keeps all gateways from taking and leasing pushes. It changes nothing if a shard cannot be reached: otherwise, one such shard would
// stop all others.
func (m *move) begin(ctx context.Context, was string) error {
	numbers := make([]string, len(m.places))
	for n, s := range m.places {
		var err error
		if numbers[n], err = m.numberAt(ctx, s.keys.shards); err != nil {
			return s.wrapped(err)
		}
	}
	if err := m.claim(ctx, m.main(), was); err != nil {
		return err
	}
	for n, s := range m.places {
		if err := m.claim(ctx, s.keys.shards, numbers[n]); err != nil {
			return err
		}
	}
	return nil
}

// claim writes the move's name in place of a number, unless that is another one by now.
func (m *move) claim(ctx context.Context, key, was string) error {
	if now, err := m.number(ctx, key, was, m.name); err != nil || now == m.name {
		return m.failed(err)
	}
	return errOtherMove
}

// finish has the gateways take and lease pushes again, with the new number.
func (m *move) finish(ctx context.Context) error {
	for _, s := range m.places {
		if s.keys.shards == m.main() {
			continue // the last one
		}
		if err := m.release(ctx, s); err != nil {
			return err
		}
	}
	last := m.own()
	if last == "1" {
		last = "" // so the keys are those of earlier versions
	}
	_, err := m.number(ctx, m.main(), m.name, last)
	return m.failed(err)
}

func (m *move) release(ctx context.Context, s *shard) error {
	_, err := m.number(ctx, s.keys.shards, m.name, m.own())
	return s.wrapped(err)
}

// number replaces a number in Redis, and returns the one that is there afterwards.
func (m *move) number(ctx context.Context, key, from, to string) (string, error) {
	return numberScript.Run(ctx, m.Client, []string{key}, from, to).Text()
}

// run moves everything, and waits for attempts under way.
func (m *move) run(ctx context.Context) error {
	for {
		m.underWay.Store(0)
		m.strange.Store(0)
		for _, s := range m.places {
			if err := m.leave(ctx, s); err != nil {
				return err
			}
		}
		if m.underWay.Load() == 0 {
			return nil
		}
		pause(ctx, movePause)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// leave moves the pushes of a shard whose devices belong to others.
func (m *move) leave(ctx context.Context, s *shard) error {
	apps, err := m.Client.SMembers(ctx, s.keys.apps).Result()
	if err != nil {
		return s.wrapped(err)
	}
	for _, app := range apps {
		for after := "-"; ; {
			keys, err := m.Client.ZRangeByLex(ctx, s.keys.of(app)[6], &redis.ZRangeBy{Min: after, Max: "+", Count: maxBatch}).Result()
			if err != nil {
				return s.wrapped(err)
			}
			if err := m.devices(ctx, s, app, keys); err != nil {
				return err
			}
			if len(keys) < maxBatch {
				break
			}
			after = "(" + keys[len(keys)-1]
		}
	}
	return nil
}

func (m *move) devices(ctx context.Context, s *shard, app string, keys []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxMoves)
	for _, key := range keys {
		if to := m.of(deviceOf(key)); to.keys.base != s.keys.base {
			group.Go(func() error { return m.device(ctx, s, to, app, key) })
		}
	}
	err := group.Wait()
	m.tell(int(m.moved.Load()))
	return err
}

// These are the results of export.lua.
const (
	exported = iota
	busy
	unreadable
	nothing
)

// device moves a device from one shard to another: it copies the device's pushes, and then removes them.
func (m *move) device(ctx context.Context, from, to *shard, app, key string) error {
	answer := exportScript.Run(ctx, m.Client, from.keys.of(app), key)
	if err := answer.Err(); err != nil {
		return from.wrapped(err)
	}
	v := read(answer)
	switch result := v.number(); {
	case v.err() != nil || result < exported || result > nothing || result == exported && len(v.rest) < 2:
		return errNonsense
	case result == busy:
		m.underWay.Add(1)
		return nil
	case result == unreadable:
		m.strange.Add(1)
		return nil
	case result == nothing:
		return nil
	}
	keys := append(to.keys.of(app), to.keys.apps, to.keys.shards)
	// Before they are removed from one server, the other must confirm them like accepted ones.
	reply, err := m.Client.Run(ctx, m.want, redisclient.Write{
		Script: importScript, Keys: keys, Args: append([]any{app, key, m.name}, v.rest...), Token: to.keys.confirm,
	})
	if err != nil {
		return to.wrapped(err)
	}
	added, err := reply.Int()
	switch {
	case err != nil:
		return to.wrapped(err)
	case added == -1:
		return errOtherMove
	case added == -2:
		m.strange.Add(1)
		return nil
	}
	m.moved.Add(int64(added))
	dropped, err := dropScript.Run(ctx, m.Client, append(from.keys.of(app), from.keys.shards), key, "", m.name).Int()
	if err == nil && dropped == -1 { // another move may need them here
		return errOtherMove
	}
	return from.wrapped(err)
}
