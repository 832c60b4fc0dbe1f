package redisclient

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

// MaxShards is how many shards a store may have at most.
const MaxShards = 1024

// ParseShards reads a number of shards from a Caddyfile.
var ParseShards = caddyfileopt.Parser[int]{Form: "<number>", Parse: parseShards}

func parseShards(arg string) (n int, err error) {
	if _, err := fmt.Sscan(arg, &n); err != nil || fmt.Sprint(n) != arg || n < 1 {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", arg, MaxShards)
	}
	return n, CheckShards(n)
}

// CheckShards returns an error for a number of shards that is not valid. 0 stands for the default.
func CheckShards(n int) error {
	if n < 0 || n > MaxShards {
		return fmt.Errorf("%d is not a number from 1 to %d", n, MaxShards)
	}
	return nil
}

// clusterShards is the default with a cluster.
const clusterShards = 16

// Shards returns a number of shards, or the default for 0.
func (a Address) Shards(n int) int {
	switch {
	case n > 0:
		return n
	case a.Cluster != nil:
		return clusterShards
	default:
		return 1
	}
}

// WarnShards logs that a cluster has one shard, and so only one of its servers is used.
func (a Address) WarnShards(n int, log *slog.Logger) {
	if a.Cluster != nil && n == 1 {
		log.Warn("only one server of the cluster is used, because there is one shard", "hint", "remove the option shards, or write a larger number")
	}
}

// Tag returns the part of a shard's keys that is in braces, so all of them are in one slot of a cluster. A single shard has the prefix.
func Tag(prefix string, shard, shards int) string {
	if shards == 1 {
		return prefix
	}
	return fmt.Sprintf("%s:%d", prefix, shard)
}

// ShardDigits is how many hexadecimal digits of a hash decide about its shard.
const ShardDigits = 8

// Shard returns the shard of a device, a host or another name, by its hash. All devices with the same app_id and pushkey have the same
// one: see rejected.KeyAt.
func Shard(hash [16]byte, shards int) int {
	return int(binary.BigEndian.Uint32(hash[:]) % uint32(shards))
}

// Portion returns a shard's equal part of what all shards may have.
func Portion[N int | int64](most N, shards int) N { return max(1, most/N(shards)) }
