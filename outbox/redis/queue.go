package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/losses"
)

// pollInterval bounds the time until changes by other gateways are noticed.
const pollInterval = 500 * time.Millisecond

// queue is a process's part of the outbox. It starts closed. The first configuration that goes live opens it, and it closes when no
// configuration and no lease uses it any more.
type queue struct {
	*redisclient.Tenancy
	keys    keys
	owner   string // this process, in leases and claims
	notes   *notes
	vouches *vouches
	wakers  wakers
	owed    owed
	losses  losses.Current
}

// pool lets configurations with the same address and prefix share a queue.
var pool = caddy.NewUsagePool()

// share takes a share of the queue for an address and a prefix.
func share(at redisclient.Address, prefix, gateway string) (*queue, error) {
	return redisclient.Share(pool, at, prefix, gateway, func(client *redisclient.Client, key string) *queue {
		owner := make([]byte, 8)
		_, _ = rand.Read(owner) // never fails
		q := &queue{
			keys: newKeys(prefix), owner: hex.EncodeToString(owner),
			notes: newNotes(), vouches: newVouches(), wakers: newWakers(), owed: newOwed(),
		}
		q.Tenancy = redisclient.NewTenancy(pool, key, client, []string{q.keys.base + "check"}, outbox.ErrNotOpen,
			q.writeNotes, func(ctx context.Context) { q.sweepEvery(ctx, sweepInterval) })
		return q
	})
}

// Destruct closes the queue when nobody uses it any more. Later operations return ErrNotOpen.
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

// acceptance is the JSON that accept.lua reads. Times are milliseconds from now, except Accepted.
type acceptance struct {
	ID        string `json:"id"`
	Size      int    `json:"size"`
	Host      string `json:"host"`
	Replace   string `json:"replace"`
	PushkeyTS int64  `json:"ts"`
	Accepted  int64  `json:"accepted"` // by the gateway's clock; 0 if unknown
	Running   bool   `json:"running"`
	Delay     int64  `json:"delay"`
	Expires   int64  `json:"expires"`
	Remember  int64  `json:"remember"` // the event; 0 if there is no event
	Lease     int64  `json:"lease"`
	Entries   int    `json:"entries"`
	PerDevice int    `json:"per_device"`
	MaxSize   int64  `json:"max_size"`

	Group           string `json:"group"`
	Standing        uint8  `json:"standing"`
	GroupEntries    int    `json:"group_entries"`
	GroupSize       int64  `json:"group_size"`
	StrangerEntries int    `json:"stranger_entries"`
	StrangerSize    int64  `json:"stranger_size"`
	MostDisplaced   int    `json:"most_displaced"`
	Looks           int    `json:"looks"`
}

// maxLooks bounds how many entries a script looks at to find entries to displace. It is larger than MaxDisplaced because of what earlier
// versions left.
const maxLooks = 4 * bounds.MaxDisplaced

// These are the results of accept.lua.
const (
	full = iota
	accepted
	late  // it was settled or discarded before
	taken // another gateway has its event
	deviceFull
)

func newAcceptance(e *outbox.Entry, b bounds.Bounds) acceptance {
	group, strangers := b.OfGroup(), b.OfStrangers()
	a := acceptance{
		ID: e.ID, Size: len(e.Push), Host: e.Host, Replace: e.Replace, PushkeyTS: clamp(e.PushkeyTS), Accepted: milli(e.Accepted),
		Running: e.Running, Delay: delay(e.Due), Expires: time.Until(e.Expires).Milliseconds(), Lease: outbox.LeaseTime.Milliseconds(),
		Entries: b.PerApp, PerDevice: b.PerDevice, MaxSize: clamp(b.Size),
		Group: strings.ReplaceAll(e.Group, " ", "_"), Standing: uint8(min(e.Standing, outbox.Proven)),
		GroupEntries: group.Entries, GroupSize: clamp(group.Size), StrangerEntries: strangers.Entries, StrangerSize: clamp(strangers.Size),
		MostDisplaced: bounds.MaxDisplaced, Looks: maxLooks,
	}
	if e.Event != ([16]byte{}) {
		a.Remember = delay(e.EventUntil)
	}
	return a
}

func (q *queue) accept(ctx context.Context, e *outbox.Entry, b bounds.Bounds) (displaced []outbox.Ref, err error) {
	value, err := encode(e)
	if err != nil {
		return nil, err
	}
	args, err := json.Marshal(newAcceptance(e, b))
	if err != nil {
		return nil, err
	}
	keys := append(q.keys.of(e.App), q.keys.apps, q.keys.event(e.Event), q.keys.gone(e.Ref()), q.keys.discarded(e.App, e.Device))
	answer, err := q.change(ctx, acceptScript, keys, e.App, deviceKey(e.Device), q.owner, value, args)
	if err != nil {
		return nil, err
	}
	v := read(answer)
	n := v.number()
	for len(v.rest) > 0 {
		displaced = append(displaced, outbox.Ref{App: e.App, Device: deviceOf(v.text()), ID: v.text()})
	}
	switch err := v.err(); {
	case err != nil || n < full || n > deviceFull:
		return nil, errNonsense
	case n == full:
		return nil, outbox.ErrFull
	case n == deviceFull:
		return nil, outbox.ErrDeviceFull
	case n == taken:
		return nil, outbox.ErrTaken
	case n == late:
	case e.Running:
		q.Hold(e.ID)
	default:
		q.LetGo(ctx, e.ID)
		q.wakers.wake(e.App)
	}
	return displaced, nil
}

// settle retries later if it fails: a delivered push must not be delivered again.
func (q *queue) settle(ctx context.Context, r outbox.Ref) error {
	defer q.LetGo(ctx, r.ID)
	err := q.settleOnce(ctx, r)
	if err != nil && !errors.Is(err, outbox.ErrNotOpen) {
		q.owed.add(r)
		q.notes.signal()
	}
	return err
}

func (q *queue) settleOnce(ctx context.Context, r outbox.Ref) error {
	keys := append(q.keys.of(r.App), q.keys.gone(r))
	reply, err := q.change(ctx, settleScript, keys, deviceKey(r.Device), r.ID, q.owner, outbox.LeaseTime.Milliseconds())
	if err != nil {
		return err
	}
	left, err := reply.Int()
	if err != nil {
		return errNonsense
	}
	if left > 0 {
		q.wakers.wake(r.App)
	}
	return nil
}

func (q *queue) release(ctx context.Context, r outbox.Ref, due time.Time, tried bool) error {
	defer q.LetGo(ctx, r.ID)
	more := 0
	if tried {
		more = 1
	}
	_, err := q.change(ctx, releaseScript, q.keys.of(r.App), deviceKey(r.Device), r.ID, q.owner, delay(due), more)
	q.wakers.wake(r.App)
	return err
}

func (q *queue) discard(ctx context.Context, app string, device [16]byte, pushkeyTS int64) error {
	keys := append(q.keys.of(app), q.keys.discarded(app, device))
	_, err := q.change(ctx, discardScript, keys, deviceKey(device), clamp(pushkeyTS), milli(time.Now()), outbox.LeaseTime.Milliseconds())
	return err
}

func (q *queue) waiting(ctx context.Context, app string, device [16]byte) (waits bool, err error) {
	err = q.enter(func() error {
		waits, err = q.Client.HExists(ctx, q.keys.of(app)[2], deviceKey(device)).Result()
		return err
	})
	return waits, err
}

// Interface guard
var _ caddy.Destructor = (*queue)(nil)
