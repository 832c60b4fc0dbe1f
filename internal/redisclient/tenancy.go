package redisclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/tenancy"
)

// Tenancy manages the lifetime of what a process's configurations keep in one Redis under one prefix. It has a share of the connections.
type Tenancy struct {
	*tenancy.Tenancy
	Client *Client

	trials []string
}

// Share takes a share of the pool's value for an address, a gateway's name and a prefix. If there is no such value yet, make creates it,
// with a tenancy of the client under the key.
func Share[T caddy.Destructor](
	pool *caddy.UsagePool, at Address, prefix, gateway string, make func(client *Client, key string) T,
) (T, error) {
	client, err := Load(at)
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

// NewTenancy returns a closed tenancy, with the functions that run while it is open. It takes over the share of the client. The trials are
// the keys for [Client.Check].
func NewTenancy(
	pool *caddy.UsagePool, key string, client *Client, trials []string, notOpen error, background ...func(context.Context),
) *Tenancy {
	nothing := func() error { return nil } // connections open by themselves
	t := &Tenancy{Client: client, trials: trials}
	background = append(background, func(ctx context.Context) { client.watch(ctx, t.Log, trials) })
	t.Tenancy = tenancy.New(pool, key, tenancy.Resource{Open: nothing, Background: background, Close: nothing, NotOpen: notOpen})
	return t
}

// Open makes who the newest configuration that went live, unless Redis refuses to be used.
func (t *Tenancy) Open(ctx context.Context, who any, log *slog.Logger, apply func()) error {
	if err := t.Client.Probe(ctx, log, t.trials...); err != nil {
		return err
	}
	return t.Tenancy.Open(ctx, who, log, apply)
}

// Check asks Redis whether it can be used. Its error wraps unreachable if Redis gave no answer.
func (t *Tenancy) Check(ctx context.Context, log *slog.Logger, unreachable error) error {
	err := t.Client.Check(ctx, log, t.trials...)
	if Unreachable(err) {
		return fmt.Errorf("%w: %w", unreachable, err)
	}
	return err
}

// Describe is [Client.Describe] for the servers that the store uses.
func (t *Tenancy) Describe(ctx context.Context, want *Acknowledge) []string {
	return t.Client.Describe(ctx, t.trials, want)
}

// Destruct closes the resource, and releases its share of the connections.
func (t *Tenancy) Destruct() error { return errors.Join(t.Tenancy.Destruct(), t.Client.Unload()) }
