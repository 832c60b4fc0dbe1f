package redisclient

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

const unknownCommand = "ERR unknown command"

// ErrTooFewReplicas means that too few replicas are connected at the moment. Pushes that are not delivered at once are then answered with 503.
var ErrTooFewReplicas = errors.New("too few replicas are connected")

// CheckAcknowledge finds out whether the servers of the keys can confirm writes. The error wraps [ErrTooFewReplicas] if that may end by itself.
func (c *Client) CheckAcknowledge(ctx context.Context, want Acknowledge, keys []string) error {
	if !want.isAsked() {
		return nil
	}
	var asked []*redis.Client
	for _, key := range keys {
		server, err := c.On(ctx, key)
		if err != nil || slices.Contains(asked, server) {
			continue // Check has reported an error
		}
		asked = append(asked, server)
		if want.Disk {
			err = c.checkDisk(ctx, server)
		} else {
			err = c.checkReplicas(ctx, server, want.Replicas)
		}
		if err != nil && !Unreachable(err) {
			return fmt.Errorf("acknowledge %s: %w", want, err)
		}
	}
	return nil
}

// checkDisk returns an error if a server never confirms that a write is on its disk.
func (c *Client) checkDisk(ctx context.Context, server *redis.Client) error {
	wait := server.Do(ctx, "WAITAOF", 1, 0, 1).Err()
	if Unreachable(wait) {
		return wait
	}
	c.confirms.how.Store(answered(wait, unknownCommand))
	answer := server.Do(ctx, "CONFIG", "GET", "append*")
	s := pairs(answer)
	switch {
	case answer.Err() == nil && s["appendonly"] == "no", answered(wait, "ERR WAITAOF cannot be used"):
		return errors.New("the server has no append-only file: set appendonly yes")
	case answer.Err() == nil && s["appendfsync"] == "no":
		return errors.New("appendfsync is no, so the server never confirms: set appendfsync always")
	case wait == nil:
		return nil
	case answered(wait, "NOPERM"):
		return errors.New("the user may not run WAITAOF: add +waitaof to its permissions")
	case !answered(wait, unknownCommand):
		return wait
	case answered(answer.Err(), "NOPERM"):
		return errors.New("the server has no WAITAOF, and the user may not read appendfsync: add +config|get to its permissions")
	case answer.Err() != nil:
		return answer.Err()
	case s["appendfsync"] != "always":
		return fmt.Errorf("the server has no WAITAOF, and appendfsync is %s: set appendfsync always, or use Valkey or Redis 7.2", s["appendfsync"])
	}
	return nil
}

// checkReplicas returns an error if there can never be so many replicas.
func (c *Client) checkReplicas(ctx context.Context, server *redis.Client, want int) error {
	if err := server.Do(ctx, "WAIT", 0, 1).Err(); answered(err, "NOPERM") {
		return errors.New("the user may not run WAIT: add +wait to its permissions")
	} else if err != nil {
		return err
	}
	info, err := server.Info(ctx, "replication").Result()
	switch {
	case answered(err, "NOPERM"):
		return nil
	case err != nil:
		return err
	}
	connected := online(info)
	if connected >= want {
		return nil
	}
	if known, isKnown := c.knownReplicas(ctx, server); isKnown && known < want {
		return fmt.Errorf("%s has %d replicas: add replicas, or write a smaller number", c.nameOf(server), known)
	}
	return fmt.Errorf("%s: %w: %d of %d: start the others", c.nameOf(server), ErrTooFewReplicas, connected, want)
}

var onlineReplica = regexp.MustCompile(`(?m)^slave\d+:.*,state=online,`)

// online returns how many replicas are connected, from INFO replication.
func online(info string) int { return len(onlineReplica.FindAllString(info, -1)) }

// knownReplicas returns how many replicas a primary has, also those that are down. That is known only from sentinels, and from a cluster
// without nodes that are down: one of these may have been the primary, and then belongs to nobody until it is back.
func (c *Client) knownReplicas(ctx context.Context, server *redis.Client) (n int, isKnown bool) {
	switch {
	case c.address.Sentinel != nil:
		return c.sentinelReplicas(ctx)
	case c.cluster != nil:
		nodes, err := server.ClusterNodes(ctx).Result()
		n, down := nodesReplicas(nodes)
		return n, err == nil && !down
	default:
		return 0, false
	}
}

// nodesReplicas returns how many replicas the node has that answered CLUSTER NODES, and whether any node is down.
func nodesReplicas(nodes string) (n int, down bool) {
	replicas := make(map[string]int) // by the primary
	var self string
	for line := range strings.Lines(nodes) { // id, address, flags, primary, …
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		flags := strings.Split(fields[2], ",")
		if slices.Contains(flags, "myself") {
			self = fields[0]
		}
		down = down || slices.Contains(flags, "fail") || slices.Contains(flags, "fail?")
		replicas[fields[3]]++
	}
	return replicas[self], down
}

// sentinelReplicas returns how many replicas a sentinel knows.
func (c *Client) sentinelReplicas(ctx context.Context) (n int, isKnown bool) {
	for _, address := range c.address.Sentinel.Addresses {
		sentinel := c.sentinel(address)
		primary, err := sentinel.Master(ctx, c.address.Sentinel.Master).Result()
		_ = sentinel.Close()
		if n, wrong := strconv.Atoi(primary["num-slaves"]); err == nil && wrong == nil {
			return n, true
		}
	}
	return 0, false
}

// nameOf returns how a message names a server.
func (c *Client) nameOf(server *redis.Client) string {
	if c.cluster != nil {
		return server.Options().Addr
	}
	return "the primary"
}
