package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/losses"
)

// queue is a process's part of the outbox. It starts closed. The first configuration that goes live opens it, and it closes when no
// configuration and no lease uses it any more.
type queue struct {
	*redisclient.Tenancy
	prefix string
	owner  string // this process, in leases and claims
	shards []*shard
	desks  desks
	losses losses.Current
	forgot atomic.Pointer[func(events int)]      // of the newest live configuration; the function may be nil
	route  func(device [16]byte, shards int) int // redisclient.Shard, except in tests

	unadopted chan struct{}         // if the number of shards must still be adopted
	refused   atomic.Pointer[error] // why it cannot be; nil if it can, or if that is unknown

	doubtful atomic.Int64 // shards whose server does not confirm pushes
}

// checkAcknowledge asks the servers whether they can confirm pushes.
func (q *queue) checkAcknowledge(ctx context.Context, want redisclient.Acknowledge) error {
	keys := make([]string, len(q.shards))
	for n, s := range q.shards {
		keys[n] = s.keys.confirm
	}
	return q.failed(q.Client.CheckAcknowledge(ctx, want, keys))
}

// shard is a process's part of one shard of the outbox: of the devices that belong to it, and of the keys with its hash tag.
type shard struct {
	queue   *queue
	number  int
	keys    keys
	notes   *notes
	vouches *vouches
	owed    owed
	trouble atomic.Pointer[error] // why it cannot be leased from; nil if it can

	doubtful atomic.Pointer[doubtful] // why pushes are not confirmed; nil if they are
}

// pool lets configurations with the same address, prefix and number of shards share a queue.
var pool = caddy.NewUsagePool()

// share takes a share of the queue for an address, a prefix and a number of shards.
func share(at redisclient.Address, prefix string, shards int, gateway string, route func([16]byte, int) int) (*queue, error) {
	name := fmt.Sprintf("%d %s", shards, prefix)
	return redisclient.Share(pool, at, name, gateway, func(client *redisclient.Client, key string) *queue {
		owner := make([]byte, 8)
		_, _ = rand.Read(owner) // never fails
		q := &queue{prefix: prefix, owner: hex.EncodeToString(owner), desks: newDesks(shards), route: route, unadopted: make(chan struct{}, 1)}
		if route == nil {
			q.route = redisclient.Shard
		}
		background := []func(context.Context){q.adoptLater, q.confirmEvery}
		trials := []string{newKeys(prefix).check}
		for n := range shards {
			s := newShard(q, n, shards)
			q.shards, trials = append(q.shards, s), append(trials, s.keys.check)
			background = append(background, s.writeNotes, s.pollEvery, func(ctx context.Context) { s.sweepEvery(ctx, sweepInterval) })
		}
		q.Tenancy = redisclient.NewTenancy(pool, key, client, slices.Compact(trials), outbox.ErrNotOpen, background...)
		return q
	})
}

func newShard(q *queue, number, shards int) *shard {
	return &shard{
		queue: q, number: number, keys: newKeys(redisclient.Tag(q.prefix, number, shards)),
		notes: newNotes(shards), vouches: newVouches(shards), owed: newOwed(shards),
	}
}

// Destruct closes the queue when nobody uses it any more. Later operations return ErrNotOpen.
func (q *queue) Destruct() error {
	defer q.desks.wake()
	return q.Tenancy.Destruct()
}

// of returns the shard of a device.
func (q *queue) of(device [16]byte) *shard { return q.shards[q.route(device, len(q.shards))] }

// enter keeps the connections open while fn uses them.
func (s *shard) enter(fn func() error) error {
	return s.queue.Enter(func() error { return s.wrapped(fn()) })
}

// wrapped adds to an error of Redis where it comes from.
func (s *shard) wrapped(err error) error {
	switch {
	case err == nil:
		return nil
	case len(s.queue.shards) > 1:
		return fmt.Errorf("redis: shard %d: %w", s.number, err)
	default:
		return fmt.Errorf("redis: %w", err)
	}
}

// Interface guard
var _ caddy.Destructor = (*queue)(nil)
