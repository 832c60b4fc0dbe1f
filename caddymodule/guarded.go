package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// guarded calls a method that may be a third party's: what it panics with is an error that says where, and not the end of Caddy. The value
// may be a secret.
func guarded(call func() error) (err error) {
	if caught := gateway.Catch("", func() { err = call() }); caught != nil {
		where := ""
		if len(caught.Stack) > 0 {
			where = " at " + caught.Stack[0]
		}
		return fmt.Errorf("the module panicked with a %s%s: report it to its author", caught.Type, where)
	}
	return err
}

// loading is a provider that is loaded.
type loading struct {
	id     caddy.ModuleID
	raw    json.RawMessage
	module caddy.Module // nil until there is one
	err    error        // why it cannot be used
}

// loadingKey is where a context has what is loaded with it.
type loadingKey struct{}

// loadProvider does what [caddy.Context.LoadModule] does, with a guard: also for Cleanup, which Caddy calls at a reload and at the end,
// where a panic would keep all other modules from theirs, and end the process.
func loadProvider(ctx caddy.Context, name string, raw json.RawMessage) (caddy.Module, error) {
	registerStandIn()
	l := &loading{id: caddy.ModuleID("matrix_push.providers." + name), raw: raw}
	ctx.Context = context.WithValue(ctx.Context, loadingKey{}, l)
	if _, err := ctx.LoadModuleByID(standInID, nil); err != nil {
		return nil, err
	}
	if l.err != nil {
		return nil, fmt.Errorf("loading module '%s': %w", name, l.err)
	}
	return l.module, nil
}

// standIn is what Caddy knows in the place of a provider.
type standIn struct{ *loading }

// standInID is registered when the first provider is loaded, since it is not for configurations, nor for lists of modules.
const standInID = "guarded_push_provider"

var registerStandIn = sync.OnceFunc(func() { caddy.RegisterModule(&standIn{&loading{id: standInID}}) })

// CaddyModule has the provider's ID, which is the name of its logger.
func (s *standIn) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: s.id, New: func() caddy.Module { return new(standIn) }}
}

// Provision loads the provider. What is wrong with it, loadProvider returns: Caddy would name the stand-in.
func (s *standIn) Provision(ctx caddy.Context) error {
	l, ok := ctx.Value(loadingKey{}).(*loading)
	if !ok {
		return fmt.Errorf("%s is not for configurations", standInID)
	}
	s.loading = l
	l.err = guarded(func() error { return l.load(ctx) })
	return nil
}

// Cleanup cleans up after the provider, however far it was loaded.
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
		return fmt.Errorf("unknown module: %s", l.id)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(l.raw, &members); err != nil {
		return err
	}
	delete(members, "name")
	options, err := json.Marshal(members)
	if err != nil {
		return err
	}
	l.module = info.New()
	if err := caddy.StrictUnmarshalJSON(options, &l.module); err != nil {
		return fmt.Errorf("decoding module config: %s: %w", info, err)
	}
	if p, ok := l.module.(caddy.Provisioner); ok {
		if err := p.Provision(ctx); err != nil {
			return fmt.Errorf("provision %s: %w", info, err)
		}
	}
	if v, ok := l.module.(caddy.Validator); ok {
		if err := v.Validate(); err != nil {
			return fmt.Errorf("%s: invalid configuration: %w", info, err)
		}
	}
	return nil
}

// cleanedUp cleans up after a module, if it wants that.
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
