// Package redis is the outbox in Redis, which any number of gateways share.
//
//	Box      the module: one in each configuration
//	queue    a process's part of the outbox, shared through a pool by all configurations that name it, and by the attempts under way
//	shard    a part of the queue, with its own keys in Redis. A device belongs to one shard, by its hash
//	desk     where the leases of an app are granted, from all shards
//	scripts  change several keys of a shard together, in Lua (folder lua); the model of a device's queue is in lua/queue.lua
//	notes    write delivered events together
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
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/losses"
)

func init() {
	caddy.RegisterModule(new(Box))
}

// Box keeps accepted pushes in Redis until they are delivered, or until the `ttl` of their app ends. All gateways with the same address and
// `prefix` share the pushes, and any of these gateways may deliver a push that is due. If a gateway crashes while it is sending a push,
// another gateway sends that push after 45 s. If several gateways receive the same event at the same time, only one of them delivers it.
//
// For each push, Redis stores the pushkey, the pusher's data, and the part of the notification that the app's `content` setting allows.
//
// The gateway accepts a push only after Redis has confirmed the write. Whether the push survives a crash of Redis depends on the settings
// of Redis. With `appendonly yes` and `appendfsync always`, it survives. With `appendfsync everysec`, a crash loses the pushes of the last
// second or two. Without an append-only file, a crash loses all pushes since the last snapshot. If a replica takes over, pushes that were
// not yet replicated are lost. The option `acknowledge` prevents such losses. With a `maxmemory-policy` other than `noeviction`, Redis may
// delete pushes when its memory is full.
//
// While Redis does not answer, the outbox accepts no pushes. If a push is then neither delivered nor rejected within the app's `wait`, the
// gateway asks the homeserver to send it again. The gateway contacts Redis again when the next push arrives.
type Box struct {
	redisclient.Address

	// The prefix of all keys in Redis. Each key begins with the prefix in braces, such as `{matrix_push}`. Gateways that share an outbox must
	// have the same prefix. Default: `matrix_push`.
	Prefix string `json:"prefix,omitempty"`

	// Into how many shards the pushes are divided, from 1 to 1024. All pushes of a device are in the same shard. Each shard has a separate
	// part of the keys, which begin with `{matrix_push:0}`, `{matrix_push:1}` and so on. With one shard, they begin with `{matrix_push}`. A
	// server of a Redis Cluster has some of the shards. Gateways that share an outbox must have the same number. While pushes are pending, the
	// number can be changed only with `caddy matrix-push outbox move-shards`. Default: 16 with `cluster`, otherwise 1.
	Shards int `json:"shards,omitempty"`

	// How many pushes of one app may be in the outbox, counting the pushes of all gateways. When this limit is reached, a new push displaces
	// other pushes, which are lost. Pushes for devices and hosts that have never accepted a push are displaced first. If no push may be
	// displaced, the gateway asks the homeserver to send the new push again. Each shard gets an equal part of this limit, and of `max_size`.
	// So a shard may be full before the others are. Default: 100000.
	MaxPerApp int `json:"max_per_app,omitempty"`

	// How many pushes of one device may be in the outbox. Default: 200.
	MaxPerDevice int `json:"max_per_device,omitempty"`

	// How many bytes the pushes of one app may take in the outbox. Default: 268435456 (256 MiB).
	MaxSize int64 `json:"max_size,omitempty"`

	// What must hold before a push counts as accepted, so the gateway may answer the homeserver with 200. By default, it is enough that the
	// primary has the push in memory; what the push then survives depends on the settings of the servers. If the servers don't confirm a push
	// within two seconds, the gateway asks the homeserver to send it again.
	Acknowledge redisclient.Acknowledge `json:"acknowledge,omitzero"`

	// How many delivered events the outbox remembers, counting all shards. Each shard gets an equal part. If there are more, the outbox
	// forgets those early whose time (the option `dedupe`) ends first. If a homeserver then sends such an event again, the device gets a
	// second alert. A million events take 330 MB of Redis's memory. Default: 1000000 for each shard.
	MaxEvents int `json:"max_events,omitempty"`

	losses.Report
	forgot func(events int)

	log     *slog.Logger
	queue   *queue // kept after Cleanup for the requests still in flight
	held    bool
	gateway string                                // tests have several in one process
	route   func(device [16]byte, shards int) int // tests have their own
}

// CaddyModule returns the module's name and constructor.
func (*Box) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.outbox.redis", New: func() caddy.Module { return new(Box) }}
}

// Provision checks the settings and takes a share of the queue. It does not connect to Redis.
func (b *Box) Provision(ctx caddy.Context) error {
	b.log = ctx.Slogger()
	if err := b.options().Check(); err != nil {
		return err
	}
	if err := b.Acknowledge.Check(); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	prefix, err := redisclient.CheckPrefix(b.Prefix)
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if err := redisclient.CheckShards(b.Shards); err != nil {
		return fmt.Errorf("shards: %w", err)
	}
	if most := b.options().Bounds().PerApp; b.shards() > most {
		return fmt.Errorf("shards: there are more shards than pushes that an app may have: use at most max_per_app, which is %d", most)
	}
	if b.MaxEvents < 0 {
		return errors.New("max_events: is negative: use a number above 0")
	}
	if b.queue, err = share(b.Address, prefix, b.shards(), b.gateway, b.route); err != nil {
		return err
	}
	b.held = true
	return nil
}

// options returns the options that limit what the outbox holds.
func (b *Box) options() bounds.Options {
	return bounds.Options{PerApp: &b.MaxPerApp, PerDevice: &b.MaxPerDevice, Size: &b.MaxSize}
}

// shards returns the number of shards.
func (b *Box) shards() int { return b.Address.Shards(b.Shards) }

// bounds returns the limits of one shard. A device is in one shard, so its limit is not divided.
func (b *Box) bounds() bounds.Bounds {
	all, shards := b.options().Bounds(), b.shards()
	return bounds.Bounds{
		PerApp: redisclient.Portion(all.PerApp, shards), PerDevice: all.PerDevice, Size: redisclient.Portion(all.Size, shards), Parts: shards,
	}
}

// Open checks whether Redis can be used. If Redis refuses, that is an error. If it does not answer, Open logs that, and Redis is tried
// again later.
func (b *Box) Open(ctx context.Context) error {
	if !b.held {
		return outbox.ErrNotOpen
	}
	switch err := b.queue.checkAcknowledge(ctx, b.Acknowledge); {
	case errors.Is(err, redisclient.ErrTooFewReplicas):
		b.log.Error("redis cannot confirm pushes now", "error", err,
			"hint", "start the replicas; meanwhile, pushes that cannot be delivered at once are answered with 503")
	case err != nil:
		return err
	}
	if err := b.queue.Open(ctx, b, b.log, b.use); err != nil {
		return err
	}
	b.Address.WarnShards(b.shards(), b.log)
	if b.shards() > 1 && b.bounds().Small() {
		b.log.Warn("a shard has room for few large pushes", "hint", "use a larger max_size or fewer shards")
	}
	err := b.queue.adopt(ctx)
	if err == nil || errors.Is(err, errRefused) {
		return err
	}
	b.log.Error("the number of shards of the outbox cannot be checked yet", "error", err)
	select {
	case b.queue.unadopted <- struct{}{}:
	default: // it is tried already
	}
	return nil
}

// use makes this configuration the one whose limit and reports count.
func (b *Box) use() {
	b.queue.losses.Use(&b.Report)
	b.queue.forgot.Store(&b.forgot)
	most := maxNoted
	if b.MaxEvents > 0 {
		most = redisclient.Portion(b.MaxEvents, b.shards())
	}
	for _, s := range b.queue.shards {
		s.notes.most.Store(int64(most))
	}
}

// OnForget sets the function that is called when Redis had to forget events.
func (b *Box) OnForget(forgot func(events int)) { b.forgot = forgot }

// ShardsDown returns how many shards cannot be used now.
func (b *Box) ShardsDown() (down int) {
	for _, s := range b.queue.shards {
		if s.trouble.Load() != nil {
			down++
		}
	}
	return down
}

// Location returns the addresses and the database, without users and passwords.
func (b *Box) Location() string { return b.queue.Client.Location() }

// Failovers returns how often a primary was replaced or restarted.
func (b *Box) Failovers() (n int, last time.Time) { return b.queue.Client.Failovers() }

// Unconfirmed returns since when and why servers don't confirm pushes.
func (b *Box) Unconfirmed() (since time.Time, why error) { return b.queue.unconfirmed() }

// Check asks Redis whether it can be used.
func (b *Box) Check(ctx context.Context) error {
	if !b.held {
		return outbox.ErrNotOpen
	}
	if err := b.queue.Check(ctx, b.log, outbox.ErrUnreachable); err != nil {
		return err
	}
	return b.queue.checkAcknowledge(ctx, b.Acknowledge)
}

// Describe describes the servers, and what an accepted push is worth.
func (b *Box) Describe(ctx context.Context) []string { return b.queue.Describe(ctx, &b.Acknowledge) }

// Move moves the pending pushes of all gateways to the shards that they belong to with this number. It needs no open box. No gateway takes or
// leases pushes meanwhile; attempts under way end first.
func (b *Box) Move(ctx context.Context, tell func(moved int)) error {
	if !b.held {
		return outbox.ErrNotOpen
	}
	return b.queue.move(ctx, b.Acknowledge, tell)
}

// Cleanup releases its share of the queue.
func (b *Box) Cleanup() error {
	if !b.held {
		return nil
	}
	b.held = false
	return b.queue.Leave(b)
}

// Accept takes over a push, and returns when Redis has it. An entry that is accepted again is stored once, and so is an event that comes
// again as another entry.
func (b *Box) Accept(ctx context.Context, e outbox.Entry) (displaced []outbox.Ref, err error) {
	s := b.queue.of(e.Device)
	displaced, err = s.accept(ctx, &e, b.bounds(), b.Acknowledge)
	if err == nil {
		s.noteOf(&e)
	}
	return displaced, err
}

// Settle removes an entry, and returns when it is gone. After an error, it is retried until Redis accepts it.
func (b *Box) Settle(ctx context.Context, r outbox.Ref) error {
	return b.queue.of(r.Device).settle(ctx, r)
}

// Release ends a lease of this process.
func (b *Box) Release(ctx context.Context, r outbox.Ref, due time.Time, tried bool) error {
	return b.queue.of(r.Device).release(ctx, r, due, tried)
}

// Waiting reports whether a device has entries.
func (b *Box) Waiting(ctx context.Context, app string, device [16]byte) (bool, error) {
	return b.queue.of(device).waiting(ctx, app, device)
}

// Lease waits until devices are due, and leases them. It notices changes by this process at once, and changes by others within half a
// second. If the context ends during a request to Redis, Lease waits for the answer, for at most a second, so no leased entry is lost.
func (b *Box) Lease(ctx context.Context, app string, n int) ([]outbox.Leased, error) {
	return b.queue.lease(ctx, app, n)
}

// Discard removes a device's entries of earlier registrations, and returns when they are gone.
func (b *Box) Discard(ctx context.Context, app string, device [16]byte, pushkeyTS int64) error {
	return b.queue.of(device).discard(ctx, app, device, pushkeyTS)
}

// Rouse makes an app's devices due.
func (b *Box) Rouse(ctx context.Context, app string) error { return b.queue.rouse(ctx, app) }

// RouseHost makes devices due whose oldest entry goes to a host. It looks only at that host's devices.
func (b *Box) RouseHost(ctx context.Context, app, host string, most int) (due int, err error) {
	return b.queue.rouseHost(ctx, app, host, most)
}

// Depths returns how many pushes each app has pending, counting all gateways. It takes at most 5 s.
func (b *Box) Depths(ctx context.Context) ([]outbox.Depth, error) {
	return b.queue.depths(ctx, b.bounds())
}

// List returns an app's entries, grouped by device. A page has at most 1000. It takes at most 5 s.
func (b *Box) List(ctx context.Context, app, cursor string, limit int) (page []outbox.Waiting, next string, err error) {
	return b.queue.list(ctx, app, cursor, limit)
}

// RouseDevice makes a device due.
func (b *Box) RouseDevice(ctx context.Context, app string, device [16]byte) (found bool, err error) {
	return b.queue.of(device).rouseDevice(ctx, app, device)
}

// Drop removes a device's entries at which no gateway has an attempt under way, and returns when they are gone.
func (b *Box) Drop(ctx context.Context, app string, device [16]byte, id string) (dropped int, err error) {
	return b.queue.of(device).drop(ctx, app, device, id)
}

// Note remembers an event. A crash loses the notes of the last tenth of a second. While Redis does not answer, notes are kept in memory.
func (b *Box) Note(device, event [16]byte, until time.Time) { b.queue.of(device).note(event, until) }

// Recall reads the remembered events. The gateway doesn't need it, as Claim knows them.
func (b *Box) Recall(ctx context.Context, yield func(event [16]byte)) error {
	return b.queue.recall(ctx, yield)
}

// Vouch remembers a key. A crash loses the vouches of the last tenth of a second. While Redis does not answer, vouches are kept in memory.
func (b *Box) Vouch(key [16]byte, until time.Time) { b.queue.of(key).vouch(key, until) }

// Vouched reads the keys that are remembered, by all gateways.
func (b *Box) Vouched(ctx context.Context, yield func(key [16]byte)) error {
	return b.queue.vouched(ctx, yield)
}

// Claim takes an event for this process.
func (b *Box) Claim(ctx context.Context, device, event [16]byte) (outbox.Claim, error) {
	return b.queue.of(device).claim(ctx, event, b.Acknowledge)
}

// Unclaim gives up an event if this process has claimed it.
func (b *Box) Unclaim(ctx context.Context, device, event [16]byte) error {
	return b.queue.of(device).unclaim(ctx, event)
}

// Interface guards
var (
	_ caddy.Provisioner  = (*Box)(nil)
	_ caddy.CleanerUpper = (*Box)(nil)
	_ outbox.Inspector   = (*Box)(nil)
	_ outbox.Opener      = (*Box)(nil)
	_ outbox.Located     = (*Box)(nil)
	_ outbox.Checker     = (*Box)(nil)
	_ outbox.Claimer     = (*Box)(nil)
	_ outbox.Voucher     = (*Box)(nil)
	_ outbox.Loser       = (*Box)(nil)
	_ outbox.Mover       = (*Box)(nil)
	_ outbox.Served      = (*Box)(nil)
	_ outbox.Describer   = (*Box)(nil)
	_ outbox.Confirmer   = (*Box)(nil)
	_ outbox.Forgetter   = (*Box)(nil)
	_ outbox.Sharded     = (*Box)(nil)
)
