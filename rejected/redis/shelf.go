package redis

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

// shelf is a process's part of the store. It starts closed. The first configuration that goes live opens it, and the last one closes it.
type shelf struct {
	*redisclient.Tenancy
	base    string // the prefix of the records' keys in Redis
	hosts   string // the prefix of the keys of hosts that took a push
	changes string // the key of the changes that the records went through
	now     func() time.Time
	front   *front
	touches touches
	calls   until.Calls

	lookupTime time.Duration // lookupTime, except in tests
}

// pool lets configurations with the same address and prefix share a shelf.
var pool = caddy.NewUsagePool()

// share takes a share of the shelf for an address and a prefix.
func share(at redisclient.Address, prefix, gateway string, now func() time.Time) (*shelf, error) {
	return redisclient.Share(pool, at, prefix, gateway, func(client *redisclient.Client, key string) *shelf {
		d := &shelf{
			base: fmt.Sprintf("{%s}:rejected:", prefix), hosts: fmt.Sprintf("{%s}:delivered:", prefix), changes: fmt.Sprintf("{%s}:migrated", prefix),
			now: now, front: newFront(), touches: newTouches(), calls: make(until.Calls, maxCalls), lookupTime: lookupTime,
		}
		d.Tenancy = redisclient.NewTenancy(pool, key, client, []string{d.base + "check"}, rejected.ErrNotOpen, d.run)
		return d
	})
}

// Interface guard
var _ caddy.Destructor = (*shelf)(nil)
