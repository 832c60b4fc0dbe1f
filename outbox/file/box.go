// Package file is the outbox in one file on disk.
//
//	Box       the module: one in each configuration
//	database  the open file, shared through a pool by all configurations that name it, and by the attempts under way
//	writer    commits the writes of many callers together: entries, notes of delivered events, and vouches
//	sweep     removes expired entries, and overwrites in the file what was removed; see wipe.go
//	index     in memory: the queue of each device, which devices are due, which push to a host, and the roll of all entries
//
// A call may end before the write that it asked for. It doesn't matter who asked: the writer reports each result to the index, so the two
// agree. No lock is held while a caller waits for the disk.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/internal/tenancy"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/losses"
)

func init() {
	caddy.RegisterModule(new(Box))
}

// Box keeps accepted pushes in a database file until they are delivered, or until the `ttl` of their app ends. For each push, the file
// contains the pushkey, the pusher's data, and the part of the notification that the app's `content` setting allows. Only the user that
// runs Caddy can read the file. Only one process at a time can open it.
//
// Within an hour after a push is removed, its data in the file is overwritten, so later copies of the file don't contain it. Once the file
// is 8 MiB or larger and three quarters of it is free, the gateway replaces it with a smaller file. While it does so, it needs space for a
// second file in the same directory, `outbox.db.compact`.
type Box struct {
	// The path of the database file. The gateway creates the file and its directory if they don't exist. A relative path is relative to the
	// working directory of the process. Placeholders such as `{env.NAME}` are resolved while the configuration loads. Default:
	// `matrix_push/outbox.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	// How many pushes of one app may be in the outbox. When this limit is reached, a new push displaces other pushes, which are lost. Pushes
	// for devices and hosts that have never accepted a push are displaced first. If no push may be displaced, the gateway asks the homeserver
	// to send the new push again. Default: 100000.
	MaxPerApp int `json:"max_per_app,omitempty"`

	// How many pushes of one device may be in the outbox. Default: 200.
	MaxPerDevice int `json:"max_per_device,omitempty"`

	// How many bytes the pushes of one app may take in the outbox. Default: 268435456 (256 MiB).
	MaxSize int64 `json:"max_size,omitempty"`

	losses.Report

	log  *slog.Logger
	db   *database // kept after Cleanup for the requests still in flight
	held bool
}

// pool lets configurations that name the same file share it. The key is only the absolute path, so a change of another option never opens a
// file twice.
var pool = caddy.NewUsagePool()

// CaddyModule returns the module's name and constructor.
func (*Box) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.outbox.file", New: func() caddy.Module { return new(Box) }}
}

// Provision sets the defaults and takes a share of the database. It opens no file, so `caddy validate` works beside a running server.
func (b *Box) Provision(ctx caddy.Context) error {
	b.log = ctx.Slogger()
	if err := b.options().Check(); err != nil {
		return err
	}
	path, err := boltfile.Resolve(b.Path, "outbox.db")
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	b.db, _ = tenancy.Join(pool, path, func() *database { return newDatabase(path) })
	b.held = true
	return nil
}

// options returns the options that limit what the outbox holds.
func (b *Box) options() bounds.Options {
	return bounds.Options{PerApp: &b.MaxPerApp, PerDevice: &b.MaxPerDevice, Size: &b.MaxSize}
}

// Open opens the file unless another configuration has opened it, and applies this configuration's settings.
func (b *Box) Open(ctx context.Context) error {
	if !b.held {
		return outbox.ErrNotOpen
	}
	return b.db.Open(ctx, b, b.log, func() {
		b.db.index.setBounds(b.options().Bounds())
		b.db.losses.Use(&b.Report)
	})
}

// Location returns the path of the file.
func (b *Box) Location() string { return b.db.path }

// CheckOpen returns why Open would fail. It only reads the file.
func (b *Box) CheckOpen(context.Context) error {
	switch {
	case !b.held:
		return outbox.ErrNotOpen
	case b.db.Opened():
		return nil
	}
	err := boltfile.Check(b.db.path, b.log)
	if errors.Is(err, boltfile.ErrInUse) {
		return outbox.ErrInUse
	}
	return err
}

// Cleanup releases its share of the database. The last one closes the file.
func (b *Box) Cleanup() error {
	if !b.held {
		return nil
	}
	b.held = false
	return b.db.Leave(b)
}

// Accept takes over a push, and returns when it is on disk. If the context ends before that, the push may still get there.
func (b *Box) Accept(ctx context.Context, e outbox.Entry) (displaced []outbox.Ref, err error) {
	return b.db.accept(ctx, e)
}

// Settle removes an entry, and returns when it is gone from the disk.
func (b *Box) Settle(ctx context.Context, r outbox.Ref) error { return b.db.settle(ctx, r) }

// Release ends a lease. The device's due time is kept only in memory: after a restart, the device is due at once.
func (b *Box) Release(ctx context.Context, r outbox.Ref, due time.Time, tried bool) error {
	b.db.release(ctx, r, due, tried)
	return nil
}

// Waiting reports whether a device has entries.
func (b *Box) Waiting(_ context.Context, app string, device [16]byte) (bool, error) {
	return b.WaitingNow(app, device)
}

// WaitingNow does the same. It reads the index in memory.
func (b *Box) WaitingNow(app string, device [16]byte) (bool, error) { return b.db.waiting(app, device) }

// Lease waits until devices are due, and leases them.
func (b *Box) Lease(ctx context.Context, app string, n int) ([]outbox.Leased, error) {
	return b.db.lease(ctx, app, n)
}

// Discard removes a device's entries of earlier registrations, and returns when they are gone from the disk.
func (b *Box) Discard(ctx context.Context, app string, device [16]byte, pushkeyTS int64) error {
	return b.db.discard(ctx, app, device, pushkeyTS)
}

// Rouse makes an app's devices due.
func (b *Box) Rouse(_ context.Context, app string) error {
	b.db.index.rouse(app, time.Now())
	return nil
}

// RouseHost makes devices due whose oldest entry goes to a host. It looks only at that host's devices.
func (b *Box) RouseHost(_ context.Context, app, host string, most int) (due int, err error) {
	return b.db.rouseHost(app, host, most)
}

// Depths returns how many pushes each app has pending. It reads the index in memory.
func (b *Box) Depths(context.Context) ([]outbox.Depth, error) { return b.db.depths() }

// List returns an app's entries in the order in which they were accepted. It reads the index in memory. A page has at most 1000.
func (b *Box) List(_ context.Context, app, cursor string, limit int) (page []outbox.Waiting, next string, err error) {
	return b.db.list(app, cursor, limit)
}

// RouseDevice makes a device due.
func (b *Box) RouseDevice(_ context.Context, app string, device [16]byte) (found bool, err error) {
	return b.db.rouseDevice(app, device)
}

// Drop removes a device's entries at which no attempt is under way, and returns when they are gone from the disk. After an error all are
// still there, unless the error is ErrUnsure.
func (b *Box) Drop(ctx context.Context, app string, device [16]byte, id string) (dropped int, err error) {
	return b.db.drop(ctx, app, device, id)
}

// Note remembers an event. A crash loses the notes of the last tenth of a second.
func (b *Box) Note(_, event [16]byte, until time.Time) { b.db.note(event, until) }

// Recall reads the events that are remembered.
func (b *Box) Recall(ctx context.Context, yield func(event [16]byte)) error {
	return b.db.recall(ctx, yield)
}

// Vouch remembers a key. A crash loses the vouches of the last tenth of a second.
func (b *Box) Vouch(key [16]byte, until time.Time) { b.db.vouch(key, until) }

// Vouched reads the keys that are remembered.
func (b *Box) Vouched(ctx context.Context, yield func(key [16]byte)) error {
	return b.db.vouched(ctx, yield)
}

// Interface guards
var (
	_ caddy.Provisioner  = (*Box)(nil)
	_ caddy.CleanerUpper = (*Box)(nil)
	_ outbox.Inspector   = (*Box)(nil)
	_ outbox.Opener      = (*Box)(nil)
	_ outbox.Located     = (*Box)(nil)
	_ outbox.OpenChecker = (*Box)(nil)
	_ outbox.Ledger      = (*Box)(nil)
	_ outbox.Voucher     = (*Box)(nil)
	_ outbox.Loser       = (*Box)(nil)
)
