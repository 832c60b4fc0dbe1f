package storetest

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// OnePrimary is the first of [RedisServers].
const OnePrimary = "one primary"

// RedisServers are the servers with which a store in Redis must pass its suite. Start starts them for a test, which is skipped if they are
// not installed. The timeouts are long, because the machine may be busy.
var RedisServers = []struct {
	Name  string
	Start func(t testing.TB) redisclient.Address
}{
	{OnePrimary, func(t testing.TB) redisclient.Address { return patient(redistest.Start(t)) }},
	{"Redis 6.2", func(t testing.TB) redisclient.Address { return patient(redistest.Redis62.Start(t)) }},
	{"Valkey 9", func(t testing.TB) redisclient.Address { return patient(redistest.Valkey9.Start(t)) }},
	{"Sentinel", func(t testing.TB) redisclient.Address { return SentinelAddress(redistest.StartSentinel(t, 1, nil)) }},
	{"a cluster", func(t testing.TB) redisclient.Address { return ClusterAddress(redistest.StartCluster(t)) }},
}

func patient(s *redistest.Server) redisclient.Address {
	return redisclient.Address{URL: s.URL + "?read_timeout=10s&write_timeout=10s&pool_timeout=10s"}
}

// SentinelAddress returns the address of a primary that sentinels watch.
func SentinelAddress(s *redistest.Sentinel) redisclient.Address {
	return redisclient.Address{Sentinel: &redisclient.Sentinel{Master: redistest.Master, Servers: servers(s.Addresses())}}
}

// ClusterAddress returns the address of a cluster.
func ClusterAddress(c *redistest.Cluster) redisclient.Address {
	return redisclient.Address{Cluster: &redisclient.Cluster{Servers: servers(c.Addresses())}}
}

func servers(addresses []string) redisclient.Servers {
	return redisclient.Servers{
		Addresses: addresses, DialTimeout: caddy.Duration(10 * time.Second), ReadTimeout: caddy.Duration(10 * time.Second),
	}
}
