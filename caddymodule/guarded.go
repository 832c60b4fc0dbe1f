package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// guarded calls a method that may be a third party's. A panic does not end Caddy: it becomes an error that names the function that
// panicked, and the type of the panic's value. The value itself may be secret.
func guarded(call func() error) (err error) {
	if caught := gateway.Catch("", func() { err = call() }); caught != nil {
		where := ""
		if len(caught.Stack) > 0 {
			where = " at " + caught.Stack[0]
		}
		return fmt.Errorf("the module panicked with a %s%s: report this to its author", caught.Type, where)
	}
	return err
}

// loading is a provider that is being loaded.
type loading struct {
	id     caddy.ModuleID
	raw    json.RawMessage
	module caddy.Module // nil until it is created
	err    error        // why loading failed
}

// loadingKey is the context key of the provider that is being loaded.
type loadingKey struct{}

// loadProvider does what [caddy.Context.LoadModule] does, but with a guard against panics of the provider. The guard includes its Cleanup,
// which Caddy calls at a reload and at the end. A panic there would end the process before other modules are cleaned up.
func loadProvider(ctx caddy.Context, name string, raw json.RawMessage) (caddy.Module, error) {
	registerStandIn()
	l := &loading{id: caddy.ModuleID(pushProviders.id(name)), raw: raw}
	ctx.Context = context.WithValue(ctx.Context, loadingKey{}, l)
	if _, err := ctx.LoadModuleByID(standInID, nil); err != nil {
		return nil, err
	}
	if l.err != nil {
		return nil, l.err
	}
	return l.module, nil
}

// standIn is the module that Caddy sees instead of a provider.
type standIn struct{ *loading }

// standInID is not for configurations. It is registered when the first provider is loaded, so lists of modules don't show it.
const standInID = "guarded_push_provider"

var registerStandIn = sync.OnceFunc(func() { caddy.RegisterModule(&standIn{&loading{id: standInID}}) })

// CaddyModule returns the provider's ID, because Caddy names the logger by it.
func (s *standIn) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: s.id, New: func() caddy.Module { return new(standIn) }}
}

// Provision loads the provider. loadProvider returns the error, because Caddy would add the stand-in's name to it.
func (s *standIn) Provision(ctx caddy.Context) error {
	l, ok := ctx.Value(loadingKey{}).(*loading)
	if !ok {
		return fmt.Errorf("module '%s' is internal: remove it from the configuration", standInID)
	}
	s.loading = l
	l.err = guarded(func() error { return l.load(ctx) })
	return nil
}

// Cleanup cleans up after the provider, even if it was loaded only in part.
func (s *standIn) Cleanup() error {
	if s.loading == nil {
		return nil
	}
	if err := cleanedUp(s.module); err != nil {
		return fmt.Errorf("%s: %w", s.id, err)
	}
	return nil
}

// load decodes, provisions and validates the provider, as Caddy does.
func (l *loading) load(ctx caddy.Context) error {
	info, err := caddy.GetModule(string(l.id))
	if err != nil {
		return err
	}
	l.module = info.New()
	if err := decodeGuest(l.raw, &l.module); err != nil {
		return err
	}
	if p, ok := l.module.(caddy.Provisioner); ok {
		if err := p.Provision(ctx); err != nil {
			return err
		}
	}
	if v, ok := l.module.(caddy.Validator); ok {
		return v.Validate()
	}
	return nil
}

// cleanedUp calls the module's Cleanup, if it has one.
func cleanedUp(module any) error {
	if c, ok := module.(caddy.CleanerUpper); ok {
		return guarded(c.Cleanup)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner  = (*standIn)(nil)
	_ caddy.CleanerUpper = (*standIn)(nil)
)
