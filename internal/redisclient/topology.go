package redisclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// checkSentinels asks all sentinels for the primary, if there are any.
func (c *Client) checkSentinels(ctx context.Context, log *slog.Logger) error {
	s := c.address.Sentinel
	if s == nil {
		return nil
	}
	var unreachable error
	named := make(map[string][]string) // sentinels by the primary that they name; empty for those that do not know it
	for _, sentinel := range s.Addresses {
		primary, err := c.primaryOf(ctx, sentinel)
		switch {
		case Unreachable(err):
			unreachable = fmt.Errorf("sentinel %s: %w", sentinel, err)
			log.Warn("a sentinel cannot be reached", "sentinel", sentinel, "error", err)
			continue
		case err != nil:
			return err
		}
		named[primary] = append(named[primary], sentinel)
	}
	ignorant := named[""]
	delete(named, "")
	switch {
	case len(named) == 0 && len(ignorant) > 0:
		return fmt.Errorf("the sentinels know no primary named %q: correct the name in the option sentinel", s.Master)
	case len(named) == 0:
		return unreachable
	case len(ignorant) > 0:
		log.Warn("a sentinel does not know the primary", "sentinel", ignorant, "primary", s.Master)
	}
	if len(named) > 1 {
		return c.judge(ctx, named, log)
	}
	return nil
}

// primaryOf asks a sentinel for the address of the primary. It is empty if the sentinel does not know the name.
func (c *Client) primaryOf(ctx context.Context, sentinel string) (string, error) {
	client := c.sentinel(sentinel)
	defer client.Close()
	address, err := client.GetMasterAddrByName(ctx, c.address.Sentinel.Master).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", nil
	case answered(err, "WRONGPASS", "NOAUTH"):
		return "", fmt.Errorf("sentinel %s: %s: correct the options sentinel_username and sentinel_password", sentinel, err.Error())
	case answered(err, "ERR unknown command"):
		return "", fmt.Errorf("%s is not a sentinel: write the addresses of the sentinels in the option sentinel", sentinel)
	case err != nil:
		return "", err
	case len(address) != 2:
		return "", fmt.Errorf("%s is not a sentinel: write the addresses of the sentinels in the option sentinel", sentinel)
	}
	return net.JoinHostPort(address[0], address[1]), nil
}

// sentinel returns a client for a sentinel, which the caller closes.
func (c *Client) sentinel(address string) *redis.SentinelClient {
	o := *c.options
	o.Network, o.Addr = "tcp", address
	o.Username, o.Password = c.address.Sentinel.SentinelUsername, c.address.Sentinel.SentinelPassword
	return redis.NewSentinelClient(&o)
}

// judge decides whether sentinels that name different primaries watch different servers, or have not all noticed a failover yet.
func (c *Client) judge(ctx context.Context, named map[string][]string, log *slog.Logger) error {
	var primaries []string
	for address, sentinels := range named {
		log.Warn("the sentinels name different primaries", "primary", address, "sentinels", sentinels)
		server := c.server(address)
		if info, err := server.Info(ctx, "replication").Result(); err == nil && strings.Contains(info, "\r\nrole:master\r\n") {
			primaries = append(primaries, address)
		}
		_ = server.Close()
	}
	if len(primaries) > 1 {
		return fmt.Errorf("the sentinels disagree: %s are all primaries; write only sentinels that watch the same servers", strings.Join(primaries, " and "))
	}
	return nil
}

// slots is the number of slots of a cluster.
const slots = 16384

// checkSlots asks a node of a cluster whether a node has each slot.
func checkSlots(ctx context.Context, node *redis.Client) error {
	ranges, err := node.ClusterSlots(ctx).Result() //nolint:staticcheck // Redis 6.2 has no CLUSTER SHARDS
	if err != nil {
		return err
	}
	covered := 0
	for _, r := range ranges {
		covered += r.End - r.Start + 1
	}
	if covered < slots {
		return fmt.Errorf("the cluster has nodes for only %d of %d slots: give the others to nodes, for example with redis-cli --cluster fix", covered, slots)
	}
	return nil
}
