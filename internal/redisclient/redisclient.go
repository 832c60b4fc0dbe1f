// Package redisclient has the connections to Redis that the outbox and the rejected store share.
//
//	Address   the options that say where Redis is: one primary, Redis Sentinel, or a Redis Cluster
//	Client    the connections of all configurations with the same address
//	Tenancy   what a store keeps in one Redis under one prefix, while configurations use it
//
// The servers are Redis or Valkey, version 6.2 or later. Each of a store's scripts and commands has keys with the same hash tag, so one
// node of a cluster can run it.
package redisclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

// DefaultPrefix is the default prefix of keys.
const DefaultPrefix = "matrix_push"

// Client is the connections to one address. All configurations with the same address share it.
type Client struct {
	redis.UniversalClient
	// Key identifies the address without containing a secret.
	Key string

	address Address
	options *redis.Options // of the connections to each server
	cluster *redis.ClusterClient

	confirms  confirmer
	failovers failovers
}

var clients = caddy.NewUsagePool()

// Load takes a share of the connections to an address, whose placeholders it replaces. It does not connect. An error begins with the name
// of the option, and shows no value, since that may be a password.
func Load(a Address) (*Client, error) {
	a, err := a.resolved()
	if err != nil {
		return nil, err
	}
	identity, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(identity)
	key := hex.EncodeToString(sum[:])
	c, _, err := clients.LoadOrNew(key, func() (caddy.Destructor, error) {
		c, err := connect(a)
		if err != nil {
			return nil, err
		}
		c.Key = key
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return c.(*Client), nil
}

// Unload releases the share. The last one closes the connections.
func (c *Client) Unload() error {
	_, err := clients.Delete(c.Key)
	return err
}

// Destruct closes the connections.
func (c *Client) Destruct() error { return c.Close() }

// Clustered reports whether the address is a Redis Cluster.
func (c *Client) Clustered() bool { return c.cluster != nil }

// On returns the connections to the server that has a key, for commands that name no key, such as SCAN and TIME. They follow no
// redirection. The caller must not close them.
func (c *Client) On(ctx context.Context, key string) (*redis.Client, error) {
	if c.cluster != nil {
		return c.cluster.MasterForKey(ctx, key)
	}
	return c.UniversalClient.(*redis.Client), nil
}

// CheckPrefix returns the prefix, the default one if it is empty, or an error if it is not valid.
func CheckPrefix(prefix string) (string, error) {
	if strings.ContainsAny(prefix, "{}") {
		return "", errors.New("contains a brace: write it without braces")
	}
	if prefix == "" {
		return DefaultPrefix, nil
	}
	return prefix, nil
}

// ParsePrefix reads a prefix from a Caddyfile, which must not be empty.
var ParsePrefix = caddyfileopt.Parser[string]{Form: "<prefix>", Parse: parsePrefix}

func parsePrefix(arg string) (string, error) {
	if arg == "" {
		return "", errors.New("must not be empty")
	}
	return arg, nil
}

// Interface guard
var _ caddy.Destructor = (*Client)(nil)
