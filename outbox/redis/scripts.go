package redis

import (
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

var (
	//go:embed lua/queue.lua
	queueLua string
	//go:embed lua/accept.lua
	acceptLua string
	//go:embed lua/lease.lua
	leaseLua string
	//go:embed lua/settle.lua
	settleLua string
	//go:embed lua/release.lua
	releaseLua string
	//go:embed lua/discard.lua
	discardLua string
	//go:embed lua/rouse.lua
	rouseLua string
	//go:embed lua/rousehost.lua
	rouseHostLua string
	//go:embed lua/rousedevice.lua
	rouseDeviceLua string
	//go:embed lua/drop.lua
	dropLua string
	//go:embed lua/depth.lua
	depthLua string
	//go:embed lua/list.lua
	listLua string
	//go:embed lua/sweep.lua
	sweepLua string
	//go:embed lua/repair.lua
	repairLua string
	//go:embed lua/claim.lua
	claimLua string
	//go:embed lua/unclaim.lua
	unclaimLua string
	//go:embed lua/note.lua
	noteLua string
	//go:embed lua/poll.lua
	pollLua string
	//go:embed lua/export.lua
	exportLua string
	//go:embed lua/import.lua
	importLua string
	//go:embed lua/number.lua
	numberLua string
	//go:embed lua/vouch.lua
	vouchLua string
)

var (
	acceptScript      = redis.NewScript(queueLua + acceptLua)
	leaseScript       = redis.NewScript(queueLua + leaseLua)
	settleScript      = redis.NewScript(queueLua + settleLua)
	releaseScript     = redis.NewScript(queueLua + releaseLua)
	discardScript     = redis.NewScript(queueLua + discardLua)
	rouseScript       = redis.NewScript(queueLua + rouseLua)
	rouseHostScript   = redis.NewScript(queueLua + rouseHostLua)
	rouseDeviceScript = redis.NewScript(queueLua + rouseDeviceLua)
	dropScript        = redis.NewScript(queueLua + dropLua)
	depthScript       = redis.NewScript(queueLua + depthLua)
	listScript        = redis.NewScript(queueLua + listLua)
	sweepScript       = redis.NewScript(queueLua + sweepLua)
	repairScript      = redis.NewScript(queueLua + repairLua)
	exportScript      = redis.NewScript(queueLua + exportLua)
	importScript      = redis.NewScript(queueLua + importLua)
	numberScript      = redis.NewScript(numberLua)
	claimScript       = redis.NewScript(claimLua)
	unclaimScript     = redis.NewScript(unclaimLua)
	noteScript        = redis.NewScript(noteLua)
	pollScript        = redis.NewScript(pollLua)
	vouchScript       = redis.NewScript(vouchLua)
)

// ask runs a script while the queue is open. It ends with its context.
func (s *shard) ask(ctx context.Context, script *redis.Script, keys []string, args ...any) (reply *redis.Cmd, err error) {
	err = s.enter(func() error {
		reply = script.Run(ctx, s.queue.Client, keys, args...)
		return reply.Err()
	})
	if err == nil {
		s.answers()
	}
	return reply, err
}

// change is ask for a script that writes. Its error is ErrUnsure unless Redis refused the script or was not asked.
func (s *shard) change(ctx context.Context, script *redis.Script, keys []string, args ...any) (reply *redis.Cmd, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reply, err = s.ask(ctx, script, keys, args...)
	return reply, unsure(err)
}

// unsure returns ErrUnsure for the error of a change that may have happened.
func unsure(err error) error {
	if err != nil && !errors.Is(err, outbox.ErrNotOpen) && redisclient.MayHaveArrived(err) {
		return fmt.Errorf("%w: %w", outbox.ErrUnsure, err)
	}
	return err
}

// keys has the names of the keys in Redis. The hash tag puts all of them into one slot of a cluster.
type keys struct{ base, apps, due, sweep, events, vouched, shards, check, confirm string }

func newKeys(tag string) keys {
	base := fmt.Sprintf("{%s}:outbox:", tag)
	return keys{
		base: base, apps: base + "apps", due: base + "due:", sweep: base + "sweep", events: base + "events", vouched: base + "vouched",
		shards: base + "shards", check: base + "check", confirm: base + "confirm",
	}
}

// of returns the keys of an app's queue, in the order that the scripts expect.
func (k keys) of(app string) []string {
	return []string{
		k.due + app,               // sorted set of devices, by when they are due
		k.base + "leases:" + app,  // hash of devices: who has them
		k.base + "devices:" + app, // hash of devices: their entries, without pushes
		k.base + "pushes:" + app,  // hash of entries: their pushes
		k.base + "expiry:" + app,  // sorted set of entries, by when they expire
		k.base + "counts:" + app,  // hash: entries, size in bytes, and the last seq given out
		k.base + "listing:" + app, // sorted set of devices, all with the same score: in the order of their names
		k.base + "hosts:" + app,   // sorted set of hosts and devices, like listing
		k.base + "idle:" + app,    // sorted set of entries, like listing: by standing and group
		k.base + "busy:" + app,    // sorted set of the others, which have an attempt under way
		k.base + "shares:" + app,  // hash: how much each group has
		k.base + "most:" + app,    // sorted set of groups, by how much they have
	}
}

// gone is the key that exists for a while after an entry was settled.
func (k keys) gone(r outbox.Ref) string {
	return k.base + "gone:" + deviceKey(r.Device) + ":" + r.ID + ":" + r.App
}

// discarded is the key that exists for a while after a device's entries were discarded. Its value has the pushkey_ts up to which they were,
// and the time.
func (k keys) discarded(app string, device [16]byte) string {
	return k.base + "discarded:" + deviceKey(device) + ":" + app
}

// event is the key of an event. Its value is "done" if it was delivered or accepted, or else the gateway that delivers it.
func (k keys) event(event [16]byte) string { return k.base + "event:" + hex.EncodeToString(event[:]) }

// deviceKey returns a device's name in Redis, and deviceOf reads it.
func deviceKey(device [16]byte) string { return hex.EncodeToString(device[:]) }

func deviceOf(key string) (device [16]byte) {
	if len(key) == hex.EncodedLen(len(device)) {
		_, _ = hex.Decode(device[:], []byte(key)) // a wrong key finds nothing
	}
	return device
}

// delay returns the time until then in milliseconds, rounded up and never below 0. Redis counts it by its own clock.
func delay(until time.Time) int64 {
	return max(0, int64((time.Until(until)+time.Millisecond-1)/time.Millisecond))
}

// milli returns a time as accept.lua and discard.lua compare it; 0 if there is none.
func milli(t time.Time) int64 { return clamp(max(0, t.UnixMilli())) }

// maxNumber is beyond every time in milliseconds, and a number that Lua and JSON keep exact.
const maxNumber = 1e14

func clamp(n int64) int64 { return min(max(n, -maxNumber), maxNumber) }
