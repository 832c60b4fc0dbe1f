package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// pollInterval is how long it may take to notice what other gateways do.
const pollInterval = 500 * time.Millisecond

// queue is what a process has of the outbox. It is made closed, opened by the first configuration that goes live, and closed when no
// configuration and no lease uses it any more.
type queue struct {
	*redisclient.Tenancy
	key    string // in the pool
	keys   keys
	owner  string // this process, in leases and claims
	notes  notes
	wakers wakers

	holding sync.Mutex
	held    map[string]struct{} // the IDs of entries at which attempts are under way
}

// Configurations of one URL and prefix share a queue.
var pool = caddy.NewUsagePool()

// share takes a share of the queue with a URL and a prefix.
func share(url, prefix, gateway string) (*queue, error) {
	return redisclient.Share(pool, url, prefix, gateway, func(client *redisclient.Client, key string) *queue {
		return newQueue(client, key, prefix)
	})
}

func newQueue(client *redisclient.Client, key, prefix string) *queue {
	owner := make([]byte, 8)
	_, _ = rand.Read(owner) // never fails
	return &queue{
		Tenancy: redisclient.NewTenancy(client, outbox.ErrNotOpen), key: key, keys: newKeys(prefix), owner: hex.EncodeToString(owner),
		notes: newNotes(), wakers: newWakers(), held: make(map[string]struct{}),
	}
}

// leave gives a share back.
func (q *queue) leave() error {
	_, err := pool.Delete(q.key)
	return err
}

// open makes b the newest configuration that went live.
func (q *queue) open(ctx context.Context, b *Box) error {
	return q.Open(ctx, b, b.log, q.writeNotes, func(ctx context.Context) { q.sweepEvery(ctx, sweepInterval) })
}

// Destruct closes the queue when nobody uses it any more. Later operations get ErrNotOpen.
func (q *queue) Destruct() error {
	defer q.wakers.close()
	return q.Tenancy.Destruct()
}

// enter keeps the connections open while fn uses them.
func (q *queue) enter(fn func() error) error {
	return q.Enter(func() error {
		if err := fn(); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		return nil
	})
}

// acceptance is what accept.lua reads as JSON. Times are in milliseconds from now on.
type acceptance struct {
	ID        string `json:"id"`
	Size      int    `json:"size"`
	Badge     bool   `json:"badge"`
	PushkeyTS int64  `json:"ts"`
	Running   bool   `json:"running"`
	Delay     int64  `json:"delay"`
	Expires   int64  `json:"expires"`
	Remember  int64  `json:"remember"` // the event; 0 if there is none
	Lease     int64  `json:"lease"`
	Entries   int    `json:"entries"`
	PerDevice int    `json:"per_device"`
	MaxSize   int64  `json:"max_size"`
}

func (q *queue) accept(e *outbox.Entry, b bounds.Bounds) error {
	a := acceptance{
		ID: e.ID, Size: len(e.Push), Badge: e.Badge, PushkeyTS: clamp(e.PushkeyTS), Running: e.Running, Delay: delay(e.Due),
		Expires: time.Until(e.Expires).Milliseconds(), Lease: outbox.LeaseTime.Milliseconds(),
		Entries: b.PerApp, PerDevice: b.PerDevice, MaxSize: clamp(b.Size),
	}
	if e.Event != ([16]byte{}) {
		a.Remember = delay(e.EventUntil)
	}
	value, err := encode(e)
	if err != nil {
		return err
	}
	args, err := json.Marshal(a)
	if err != nil {
		return err
	}
	keys := append(q.keys.of(e.App), q.keys.apps, q.keys.event(e.Event))
	reply, err := q.run(acceptScript, keys, e.App, deviceKey(e.Device), q.owner, value, args)
	if err != nil {
		return err
	}
	if in, err := reply.Bool(); err != nil || !in {
		return outbox.ErrFull
	}
	if e.Running {
		q.hold(e.ID)
	} else {
		q.wakers.wake(e.App)
	}
	return nil
}

func (q *queue) settle(r outbox.Ref) error {
	defer q.letGo(r.ID)
	reply, err := q.run(settleScript, q.keys.of(r.App), deviceKey(r.Device), r.ID, q.owner)
	if err != nil {
		return err
	}
	if left, err := reply.Int(); err == nil && left > 0 {
		q.wakers.wake(r.App)
	}
	return nil
}

func (q *queue) release(r outbox.Ref, due time.Time) error {
	defer q.letGo(r.ID)
	_, err := q.run(releaseScript, q.keys.of(r.App), deviceKey(r.Device), r.ID, q.owner, delay(due))
	q.wakers.wake(r.App)
	return err
}

func (q *queue) discard(app string, device [16]byte, pushkeyTS int64) error {
	_, err := q.run(discardScript, q.keys.of(app), deviceKey(device), clamp(pushkeyTS))
	return err
}

func (q *queue) waiting(ctx context.Context, app string, device [16]byte) (waits bool, err error) {
	err = q.enter(func() error {
		waits, err = q.Client.HExists(ctx, q.keys.of(app)[2], deviceKey(device)).Result()
		return err
	})
	return waits, err
}

// maxBatch bounds how many devices or entries a script goes through: Redis does nothing else meanwhile.
const maxBatch = 500

func (q *queue) rouse(app string) error {
	defer q.wakers.wake(app)
	for skip := int64(0); ; {
		reply, err := q.run(rouseScript, q.keys.of(app), skip, maxBatch)
		if err != nil {
			return err
		}
		seen, err := reply.Int64Slice()
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		if seen[0] < maxBatch {
			return nil
		}
		skip += seen[1]
	}
}

// hold keeps the queue open for an attempt, whatever becomes of the configurations.
func (q *queue) hold(id string) {
	q.holding.Lock()
	defer q.holding.Unlock()
	if _, ok := q.held[id]; ok {
		return
	}
	// If nobody else has a share any more, the queue is being closed, and this came too late.
	if _, _, err := pool.LoadOrNew(q.key, func() (caddy.Destructor, error) { return nil, outbox.ErrNotOpen }); err == nil {
		q.held[id] = struct{}{}
	}
}

// letGo is the end of an attempt.
func (q *queue) letGo(id string) {
	q.holding.Lock()
	_, ok := q.held[id]
	delete(q.held, id)
	q.holding.Unlock()
	if ok {
		_ = q.leave()
	}
}

// Interface guard
var _ caddy.Destructor = (*queue)(nil)
