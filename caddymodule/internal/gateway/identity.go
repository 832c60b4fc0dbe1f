package gateway

import (
	"context"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// A device is identified by its app_id, its pushkey and, if those do not decide where its pushes go, the provider's target. Earlier
// versions identified it by app_id and pushkey only. This file migrates what they stored: it moves pending pushes, and drops records.

// keyOf returns the key under which everything about a device is stored.
func (a *App) keyOf(d *providers.Device) rejected.Key {
	return rejected.KeyAt(d.AppID, d.Pushkey, a.Target(d))
}

// Identifies reports whether the app's devices need a target besides app_id and pushkey.
func (a *App) Identifies() bool {
	_, ok := a.Provider.(providers.Identifier)
	return ok
}

// registered returns the pushkey_ts of a device as far as it is believed, in milliseconds; 0 if it had none.
func (c *cargo) registered(d *providers.Device) int64 {
	if c.accepted.IsZero() { // the entry was made by an early version
		return d.PushkeyTS
	}
	return rejected.Registered(d.PushkeyTS, c.accepted)
}

const (
	// movingTime is how long an earlier version's queues are looked for after a configuration went live, and after the last move.
	movingTime = 10 * time.Minute
	// movedWait is how long a push waits until the pending pushes that it must join behind are moved. movedPoll is how often it checks.
	movedWait = 2 * time.Second
	movedPoll = 20 * time.Millisecond
)

// movedSpace is the namespace of the IDs of moved pushes (RFC 9562 section 5.5).
var movedSpace = uuid.MustParse("9d9a0ff4-1f7c-4f6b-8a55-0c7e1b1c6f0b")

// move moves a pending push that another version accepted under another name of its device to the device's own queue, and reports
// whether it did. A push is moved only once, even if the provider's target changes again.
func (g *Gateway) move(app *App, entry outbox.Leased, p *providers.Push, to rejected.Key) bool {
	if id, err := uuid.Parse(entry.ID); err == nil && id.Version() == 5 {
		return false
	}
	e, of := entry.Entry, entry.Ref()
	e.ID, e.Device, e.Running, e.Due = uuid.NewSHA1(movedSpace, append(to[:], entry.ID...)).String(), to, false, time.Time{}
	// The event is on record as delivered, so the new entry would look like a repetition.
	e.Event, e.EventUntil = [16]byte{}, time.Time{}
	p.ID = e.ID
	var err error
	if e.Push, err = marshalKept(p, again(app, p.Notification).stored()); err != nil || g.place(app, e) != nil {
		p.ID = entry.ID
		return false
	}
	app.movedUntil.Store(g.Now().Add(movingTime).UnixNano())
	_ = g.box.settle(of) // if that fails, it is moved again, to the same place
	return true
}

// awaitMoved waits until an earlier version's pending pushes for a device were moved, so the push joins behind them. That takes only as
// long as writing them.
func (g *Gateway) awaitMoved(c *cargo) {
	now := g.Now()
	if g.box.queue == nil || !c.app.Identifies() || now.UnixNano() >= c.app.movedUntil.Load() {
		return
	}
	before := rejected.KeyOf(c.push.Device.AppID, c.push.Device.Pushkey)
	if before == c.key || !g.box.waitingFor(c.app, before) {
		return
	}
	g.box.rouseDevice(c.app, before)
	for deadline := now.Add(movedWait); g.Now().Before(deadline); {
		time.Sleep(movedPoll)
		if !g.box.waitingFor(c.app, before) {
			return
		}
	}
}

// withoutTarget is the name of the migration that drops an app's records of devices without a target.
func withoutTarget(app *App) string { return "target " + app.Pattern }

// DropUntargeted drops an earlier version's records, which do not have a target, and returns how many it dropped for each app. It runs
// once for each store and app. Meanwhile those records reject nobody. It skips stores that forget everything with the process, and
// those that it cannot list, whose records stay until they expire.
func (g *Gateway) DropUntargeted(ctx context.Context) (dropped map[string]int, err error) {
	lister, ok := g.Rejected.(rejected.Lister)
	migrator, remembers := g.Rejected.(rejected.Migrator)
	if !ok || !remembers {
		return nil, nil
	}
	began := g.Now()
	dropped = make(map[string]int)
	for _, app := range g.Router.Apps() {
		if !app.Identifies() {
			continue
		}
		done, err := migrated(ctx, migrator, withoutTarget(app))
		if err != nil {
			return nil, err
		}
		if !done {
			dropped[app.Pattern] = 0
		}
	}
	if len(dropped) == 0 {
		return nil, nil
	}
	if err := g.dropBefore(ctx, lister, began, dropped); err != nil {
		return dropped, err
	}
	for _, app := range g.Router.Apps() {
		if _, ok := dropped[app.Pattern]; ok {
			if err := noteMigrated(ctx, migrator, withoutTarget(app)); err != nil {
				return dropped, err
			}
		}
	}
	return dropped, nil
}

// dropBefore forgets the apps' records from before a time, and counts them. Later records were made by this version.
func (g *Gateway) dropBefore(ctx context.Context, lister rejected.Lister, began time.Time, dropped map[string]int) error {
	for q := (rejected.Query{Limit: rejected.MaxPage}); ; {
		page, next, err := lister.List(ctx, q)
		if err != nil {
			return err
		}
		group, within := errgroup.WithContext(ctx)
		group.SetLimit(maxWithdrawn)
		for _, e := range page {
			if _, ok := dropped[e.Record.App]; !ok || !e.Record.FirstSeen.Before(began) {
				continue
			}
			dropped[e.Record.App]++
			group.Go(func() error {
				ctx, cancel := context.WithTimeout(within, rejected.WriteTime)
				defer cancel()
				return g.Rejected.Forget(ctx, e.Key)
			})
		}
		if err := group.Wait(); err != nil || next == "" {
			return err
		}
		q.Cursor = next
	}
}

func migrated(ctx context.Context, m rejected.Migrator, change string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, rejected.WriteTime)
	defer cancel()
	return m.Migrated(ctx, change)
}

func noteMigrated(ctx context.Context, m rejected.Migrator, change string) error {
	ctx, cancel := context.WithTimeout(ctx, rejected.WriteTime)
	defer cancel()
	return m.NoteMigrated(ctx, change)
}
