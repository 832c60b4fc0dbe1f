package redisclient

import (
	"context"
	"log/slog"
	"maps"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// watchInterval is how often to look which servers are the primaries.
	watchInterval = 5 * time.Second
	// sameFailover is how long a change from one server to another is the same event: not all keys are noticed at the same time.
	sameFailover = time.Minute
)

// failovers knows which server is the primary of each shard, by the hash tags of its keys. All stores with the same address share it.
type failovers struct {
	mu        sync.Mutex
	primaries map[string]primary
	noted     map[[2]primary]time.Time
	count     int
	last      time.Time
}

// primary is a server: its address, and the ID of its process.
type primary struct{ name, id string }

// Failovers returns how often a primary was replaced or restarted since this process began, and when that last happened.
func (c *Client) Failovers() (n int, last time.Time) {
	c.failovers.mu.Lock()
	defer c.failovers.mu.Unlock()
	return c.failovers.count, c.failovers.last
}

// watch notices failovers until the context ends. The keys are those of [Client.Check].
func (c *Client) watch(ctx context.Context, log func() *slog.Logger, keys []string) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		c.look(ctx, log(), keys)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look compares the primaries with those of before. A server that does not answer, or is not a primary, changes nothing.
func (c *Client) look(ctx context.Context, log *slog.Logger, keys []string) {
	ctx, cancel := context.WithTimeout(ctx, watchInterval)
	defer cancel()
	tags := make(map[*redis.Client][]string)
	for _, key := range keys {
		if server, err := c.On(ctx, key); err == nil {
			tags[server] = append(tags[server], tagOf(key))
		}
	}
	moved := make(map[[2]primary][]string)
	for server, its := range tags {
		now := c.identify(ctx, server)
		if now == nil {
			continue
		}
		for _, tag := range its {
			if before, changed := c.failovers.become(tag, *now); changed {
				pair := [2]primary{before, *now}
				moved[pair] = append(moved[pair], tag)
			}
		}
	}
	for pair, tags := range moved {
		c.report(ctx, log, pair, tags)
	}
}

// become notes the primary of a tag, and returns the one before if it is another process.
func (f *failovers) become(tag string, now primary) (before primary, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, known := f.primaries[tag]
	if f.primaries == nil {
		f.primaries = make(map[string]primary)
	}
	f.primaries[tag] = now
	return before, known && before != now
}

// report logs a failover once, however many shards and stores it concerns.
func (c *Client) report(ctx context.Context, log *slog.Logger, pair [2]primary, tags []string) {
	from, to := pair[0].name, pair[1].name
	if from != to && c.cluster != nil && c.isPrimary(ctx, from) {
		return // slots were moved
	}
	if !c.failovers.isNew(pair, time.Now()) {
		return
	}
	const hint = "pushes that it lacks are lost; to prevent that, see the option acknowledge in docs/redis.md"
	if from == to {
		log.Warn("redis was restarted", "server", to, "hint", hint)
	} else {
		log.Warn("another redis server is the primary", "from", from, "to", to, "keys", tags, "hint", hint)
	}
}

// isNew counts a failover, unless it was noted for other keys before.
func (f *failovers) isNew(pair [2]primary, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.noted, func(_ [2]primary, at time.Time) bool { return now.Sub(at) >= sameFailover })
	if _, known := f.noted[pair]; known {
		return false
	}
	if f.noted == nil {
		f.noted = make(map[[2]primary]time.Time)
	}
	f.noted[pair] = now
	f.count++
	f.last = now
	return true
}

var runID = regexp.MustCompile(`(?m)^run_id:(\w+)`)

// identify returns a server if it answers and is a primary.
func (c *Client) identify(ctx context.Context, server *redis.Client) *primary {
	info, err := server.Info(ctx).Result()
	if err != nil || !strings.Contains(info, "\r\nrole:master\r\n") {
		return nil
	}
	id := runID.FindStringSubmatch(info)
	if id == nil {
		return nil
	}
	return &primary{c.addressOf(ctx, server, id[1]), id[1]}
}

// addressOf returns the address of a primary. With Sentinel, a sentinel must be asked for it, but only once for each process.
func (c *Client) addressOf(ctx context.Context, server *redis.Client, id string) string {
	if c.cluster != nil {
		return server.Options().Addr
	}
	if c.address.Sentinel == nil {
		return c.Location()
	}
	c.failovers.mu.Lock()
	for _, known := range c.failovers.primaries {
		if known.id == id {
			c.failovers.mu.Unlock()
			return known.name
		}
	}
	c.failovers.mu.Unlock()
	for _, sentinel := range c.address.Sentinel.Addresses {
		if name, err := c.primaryOf(ctx, sentinel); err == nil && name != "" {
			return name
		}
	}
	return ""
}

// isPrimary reports whether a node of the cluster answers that it is a primary.
func (c *Client) isPrimary(ctx context.Context, address string) bool {
	server := c.server(address)
	defer server.Close()
	info, err := server.Info(ctx, "replication").Result()
	return err == nil && strings.Contains(info, "\r\nrole:master\r\n")
}

// tagOf returns the part of a key that is in braces.
func tagOf(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, _ := strings.Cut(rest, "}")
	return tag
}
