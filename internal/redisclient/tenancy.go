package redisclient

import (
	"context"
	"errors"
	"log/slog"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/tenancy"
)

// Tenancy manages the lifetime of what a process's configurations keep in one Redis under one prefix. It has a share of the connections.
type Tenancy struct {
	*tenancy.Tenancy
	Client *Client
}

// Share takes a share of the pool's value for a URL, a gateway's name and a prefix. If there is no such value yet, make creates it, with a
// tenancy of the client under the key.
func Share[T caddy.Destructor](pool *caddy.UsagePool, url, prefix, gateway string, make func(client *Client, key string) T) (T, error) {
	client, err := Load(url)
	if err != nil {
		var none T
		return none, err
	}
	key := client.Key + " " + gateway + " " + prefix
	shared, made := tenancy.Join(pool, key, func() T { return make(client, key) })
	if !made {
		_ = client.Unload() // the shared value has a separate share
	}
	return shared, nil
}

// NewTenancy returns a closed tenancy, with the functions that run while it is open. It takes over the share of the client.
func NewTenancy(pool *caddy.UsagePool, key string, client *Client, notOpen error, background ...func(context.Context)) *Tenancy {
	nothing := func() error { return nil } // connections open by themselves
	return &Tenancy{Client: client, Tenancy: tenancy.New(pool, key, tenancy.Resource{
		Open: nothing, Background: background, Close: nothing, NotOpen: notOpen,
	})}
}

// Open makes who the newest configuration that went live, unless Redis refuses to be used.
func (t *Tenancy) Open(ctx context.Context, who any, log *slog.Logger, apply func()) error {
	if err := t.Client.Probe(ctx, log); err != nil {
		return err
	}
	return t.Tenancy.Open(ctx, who, log, apply)
}

// Destruct closes the resource, and releases its share of the connections.
func (t *Tenancy) Destruct() error { return errors.Join(t.Tenancy.Destruct(), t.Client.Unload()) }
