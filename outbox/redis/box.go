// Package redis is the outbox that any number of gateways share, in Redis.
//
//	Box      the module: one in each configuration
//	queue    what a process has of the outbox, shared through a pool by all configurations that name it, and by the attempts under way
//	scripts  what changes several keys together, in Lua (folder lua); the model of a device's queue is in lua/queue.lua
//	notes    writes together the events that were delivered
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

func init() {
	caddy.RegisterModule(Box{})
}

// Box keeps accepted pushes in Redis, until they are delivered or their app's `ttl` is over, for all gateways with the same `url` and
// `prefix`: each takes what is due, and what a gateway had in hand when it died is taken up by another after 45 s. Of gateways that get
// the same event at the same time, one delivers it.
//
// An entry has the notification after the app's `content` policy, the pushkey, and the pusher's data. A push is accepted when Redis says
// that it has it; whether it outlives Redis is a matter of Redis' own settings. With `appendonly yes` and `appendfsync always`, it does;
// with `appendfsync everysec`, a crash costs what was accepted in the last second or two; without an append-only file, it costs all since the
// last snapshot. A replica that takes over has not got what was not replicated yet. With a `maxmemory-policy` other than `noeviction`, Redis
// may throw entries away when its memory is full.
//
// Where Redis does not answer, nothing is accepted: what has no verdict is answered so that the homeserver sends it again. It is tried
// again with the next push.
type Box struct {
	// URL is that of a Redis or Valkey from version 6.2 on: `redis://user:password@host:6379/0`, `rediss://…` for TLS, or
	// `unix:///path/redis.sock?db=0`. Timeouts can be given, as in `?dial_timeout=1s&read_timeout=500ms`, which are the defaults. Placeholders
	// such as `{env.NAME}` or `{file./path}` are replaced while loading. It has to be one primary, not a Redis Cluster of several
	// shards. Required.
	URL string `json:"url,omitempty"`

	// Prefix is what the keys in Redis begin with, in braces. Gateways that share an outbox have the same. Default: `matrix_push`.
	Prefix string `json:"prefix,omitempty"`

	// How many pushes one app may have in the outbox, of all gateways. When that is used up, pushes to devices and hosts that never took one
	// make way for others, and what finds no room is answered so that the homeserver sends it again. Default: 100000.
	MaxPerApp int `json:"max_per_app,omitempty"`

	// How many pushes one device may have in the outbox. Default: 200.
	MaxPerDevice int `json:"max_per_device,omitempty"`

	// How many bytes of pushes one app may have in the outbox. Default: 268435456 (256 MiB).
	MaxSize int64 `json:"max_size,omitempty"`

	log     *slog.Logger
	queue   *queue // kept after Cleanup for the requests still in flight
	held    bool
	gateway string // tests have several in one process
}

// CaddyModule returns the module's name and constructor.
func (Box) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.outbox.redis", New: func() caddy.Module { return new(Box) }}
}

// Provision checks the settings and takes a share of the queue. It connects to nothing.
func (b *Box) Provision(ctx caddy.Context) error {
	b.log = ctx.Slogger()
	if b.URL == "" {
		return errors.New("url: is required")
	}
	if err := b.options().Check(); err != nil {
		return err
	}
	prefix, err := redisclient.CheckPrefix(b.Prefix)
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if b.queue, err = share(b.URL, prefix, b.gateway); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	b.held = true
	return nil
}

// options are those about how much may wait.
func (b *Box) options() bounds.Options {
	return bounds.Options{PerApp: &b.MaxPerApp, PerDevice: &b.MaxPerDevice, Size: &b.MaxSize}
}

// Open asks Redis whether it can be used. That it refuses is an error; that it does not answer is logged, and tried again.
func (b *Box) Open(ctx context.Context) error {
	if !b.held {
		return outbox.ErrNotOpen
	}
	return b.queue.Open(ctx, b, b.log)
}

// Cleanup gives the share of the queue back.
func (b *Box) Cleanup() error {
	if !b.held {
		return nil
	}
	b.held = false
	return b.queue.Leave(b)
}

// Accept takes a push over and returns when Redis has it. An entry that is accepted once more is in the outbox once, and so is an event
// that comes as another entry.
func (b *Box) Accept(ctx context.Context, e outbox.Entry) (displaced []outbox.Ref, err error) {
	displaced, err = b.queue.accept(ctx, &e, b.options().Bounds())
	if err == nil {
		b.queue.noteOf(&e)
	}
	return displaced, err
}

// Settle removes an entry and returns when it is gone. After an error, it is tried again until Redis takes it.
func (b *Box) Settle(ctx context.Context, r outbox.Ref) error { return b.queue.settle(ctx, r) }

// Release ends a lease of this process.
func (b *Box) Release(ctx context.Context, r outbox.Ref, due time.Time, tried bool) error {
	return b.queue.release(ctx, r, due, tried)
}

// Waiting says whether a device has entries.
func (b *Box) Waiting(ctx context.Context, app string, device [16]byte) (bool, error) {
	return b.queue.waiting(ctx, app, device)
}

// Lease waits until devices are due, and leases them. It notices at once what this process does, and within half a second what others
// do. While Redis is asked, the end of the context waits for the answer, for a second at most: what is leased is not lost.
func (b *Box) Lease(ctx context.Context, app string, n int) ([]outbox.Leased, error) {
	return b.queue.lease(ctx, app, n)
}

// Discard removes a device's entries of earlier registrations, and returns when they are gone.
func (b *Box) Discard(ctx context.Context, app string, device [16]byte, pushkeyTS int64) error {
	return b.queue.discard(ctx, app, device, pushkeyTS)
}

// Rouse makes an app's devices due.
func (b *Box) Rouse(ctx context.Context, app string) error { return b.queue.rouse(ctx, app) }

// RouseHost makes devices due whose oldest entry goes to a host. It looks at that host's devices only.
func (b *Box) RouseHost(ctx context.Context, app, host string, most int) (due int, err error) {
	return b.queue.rouseHost(ctx, app, host, most)
}

// Depths says how much waits, of all gateways. It takes 5 s at most.
func (b *Box) Depths(ctx context.Context) ([]outbox.Depth, error) {
	return b.queue.depths(ctx, b.options().Bounds())
}

// List shows an app's entries, a device's together. A page has at most 1000. It takes 5 s at most.
func (b *Box) List(ctx context.Context, app, cursor string, limit int) (page []outbox.Waiting, next string, err error) {
	return b.queue.list(ctx, app, cursor, limit)
}

// RouseDevice makes a device due.
func (b *Box) RouseDevice(ctx context.Context, app string, device [16]byte) (found bool, err error) {
	return b.queue.rouseDevice(ctx, app, device)
}

// Drop removes entries of a device at which no gateway makes an attempt, and returns when they are gone.
func (b *Box) Drop(ctx context.Context, app string, device [16]byte, id string) (dropped int, err error) {
	return b.queue.drop(ctx, app, device, id)
}

// Note remembers an event. A crash forgets those of the last tenth of a second. While Redis does not answer, they wait.
func (b *Box) Note(event [16]byte, until time.Time) { b.queue.note(event, until) }

// Recall looks through all keys in Redis for the events that are remembered. There is no need to: Claim knows them.
func (b *Box) Recall(ctx context.Context, yield func(event [16]byte)) error {
	return b.queue.recall(ctx, yield)
}

// Vouch remembers a key. A crash forgets those of the last tenth of a second. While Redis does not answer, they wait.
func (b *Box) Vouch(key [16]byte, until time.Time) { b.queue.vouch(key, until) }

// Vouched reads the keys that are remembered, of all gateways.
func (b *Box) Vouched(ctx context.Context, yield func(key [16]byte)) error {
	return b.queue.vouched(ctx, yield)
}

// Claim takes an event for this process.
func (b *Box) Claim(ctx context.Context, event [16]byte) (outbox.Claim, error) {
	return b.queue.claim(ctx, event)
}

// Unclaim gives up an event, if this process has it.
func (b *Box) Unclaim(ctx context.Context, event [16]byte) error { return b.queue.unclaim(ctx, event) }

// Interface guards
var (
	_ caddy.Provisioner  = (*Box)(nil)
	_ caddy.CleanerUpper = (*Box)(nil)
	_ outbox.Inspector   = (*Box)(nil)
	_ outbox.Opener      = (*Box)(nil)
	_ outbox.Claimer     = (*Box)(nil)
	_ outbox.Voucher     = (*Box)(nil)
)
