package redis

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

// shelf is a process's part of the store. It starts closed. The first configuration that goes live opens it, and the last one closes it.
type shelf struct {
	*redisclient.Tenancy
	shards  []shard
	changes string // the key of the changes that the records went through
	now     func() time.Time
	front   *front
	touches touches
	calls   until.Calls

	lookupTime time.Duration // lookupTime, except in tests
}

// shard has the names of the keys of a shard in Redis. A record belongs to one shard, by its key, and so does a host.
type shard struct {
	records string // the prefix of the records' keys
	hosts   string // the prefix of the keys of hosts that took a push
}

// of returns the number of the shard of a record or a host.
func (d *shelf) of(k rejected.Key) int { return redisclient.Shard(k, len(d.shards)) }

// name returns the key of a record.
func (d *shelf) name(k rejected.Key) string { return d.shards[d.of(k)].records + k.String() }

// host returns the key of a host.
func (d *shelf) host(k rejected.Key) string { return d.shards[d.of(k)].hosts + k.String() }

// pool lets configurations with the same address, prefix and number of shards share a shelf.
var pool = caddy.NewUsagePool()

// share takes a share of the shelf for an address, a prefix and a number of shards.
func share(at redisclient.Address, prefix string, shards int, gateway string, now func() time.Time) (*shelf, error) {
	name := fmt.Sprintf("%d %s", shards, prefix)
	return redisclient.Share(pool, at, name, gateway, func(client *redisclient.Client, key string) *shelf {
		d := &shelf{
			changes: fmt.Sprintf("{%s}:migrated", prefix),
			now:     now, front: newFront(), touches: newTouches(), calls: make(until.Calls, maxCalls), lookupTime: lookupTime,
		}
		trials := []string{recordsOf(prefix) + "check"}
		for n := range shards {
			tag := redisclient.Tag(prefix, n, shards)
			d.shards = append(d.shards, shard{records: recordsOf(tag), hosts: fmt.Sprintf("{%s}:delivered:", tag)})
			trials = append(trials, recordsOf(tag)+"check")
		}
		d.Tenancy = redisclient.NewTenancy(pool, key, client, slices.Compact(trials), rejected.ErrNotOpen, d.run)
		return d
	})
}

func recordsOf(tag string) string { return fmt.Sprintf("{%s}:rejected:", tag) }

// Interface guard
var _ caddy.Destructor = (*shelf)(nil)
