package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("matrix_push", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("matrix_push", httpcaddyfile.Before, "invoke") // before handle, respond and reverse_proxy
	httpcaddyfile.RegisterGlobalOption("matrix_push", parseGlobalOption)
}

func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile parses the directive, which mounts the gateway on a site:
//
//	matrix_push {
//		apps      <pattern…>
//		plaintext refuse|trusted_proxy|allow
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return caddyfileopt.Module(d, map[string]caddyfileopt.Option{
		"apps":      h.unmarshalApps,
		"plaintext": caddyfileopt.Once(&h.Plaintext, caddyfileopt.Word(plaintextRefuse, plaintextTrustedProxy, plaintextAllow)),
	}, func(d *caddyfile.Dispenser) error { return d.Errf("matrix_push has no option %q on a site", d.Val()) })
}

func (h *Handler) unmarshalApps(d *caddyfile.Dispenser) error {
	patterns := d.RemainingArgs()
	if len(patterns) == 0 {
		return d.ArgErr()
	}
	h.Apps = append(h.Apps, patterns...)
	return nil
}

// parseGlobalOption parses the global block. A second block adds to the first.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	app := new(App)
	if before, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(before.Value, app); err != nil {
			return nil, err
		}
	}
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "matrix_push", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile parses the global block:
//
//	matrix_push {
//		app <pattern> {
//			<provider> {
//				…
//			}
//			wait        <duration>
//			ttl         <duration>
//			content     event_id_only|full
//			badges      on|with_events|off
//			concurrency <n>
//		}
//		rejected    <store> …
//		outbox      <outbox> …
//		dedupe      <duration>
//		fuse        <percent>% [<window>]|off
//		max_body    <size>
//		max_devices <n>
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return caddyfileopt.Module(d, map[string]caddyfileopt.Option{
		"app":         a.unmarshalApp,
		"rejected":    guest[rejected.Store]("matrix_push.rejected", &a.RejectedRaw),
		"outbox":      guest[outbox.Box]("matrix_push.outbox", &a.OutboxRaw),
		"dedupe":      caddyfileopt.Once(&a.Dedupe, caddyfileopt.Duration),
		"fuse":        a.unmarshalFuse,
		"max_body":    caddyfileopt.Once(&a.MaxBody, maxBody),
		"max_devices": caddyfileopt.Once(&a.MaxDevices, caddyfileopt.Positive),
	}, caddyfileopt.Unknown("matrix_push"))
}

func (a *App) unmarshalFuse(d *caddyfile.Dispenser) error {
	if a.Fuse != nil {
		return caddyfileopt.Twice(d)
	}
	a.Fuse = new(Fuse)
	return a.Fuse.unmarshal(d)
}

func maxBody(arg string) (int64, error) {
	n, err := humanize.ParseBytes(arg)
	if err != nil || n == 0 || n > 1<<31 {
		return 0, fmt.Errorf("%q is not a size between 1B and 2GiB", arg)
	}
	return int64(n), nil
}

func (a *App) unmarshalApp(d *caddyfile.Dispenser) error {
	var pattern string
	if !d.AllArgs(&pattern) {
		return d.ArgErr()
	}
	if _, ok := a.Apps[pattern]; ok {
		return d.Errf("app %q is given twice", pattern)
	}
	c := new(AppConfig)
	err := caddyfileopt.Block(d, map[string]caddyfileopt.Option{
		"wait":        caddyfileopt.Once(&c.Wait, caddyfileopt.Duration),
		"ttl":         caddyfileopt.Once(&c.TTL, ttl),
		"content":     caddyfileopt.Once(&c.Content, caddyfileopt.Word("event_id_only", "full")),
		"badges":      caddyfileopt.Once(&c.Badges, caddyfileopt.Word("on", "with_events", "off")),
		"concurrency": caddyfileopt.Once(&c.Concurrency, caddyfileopt.Positive),
	}, c.unmarshalProvider)
	if err != nil {
		return err
	}
	if c.ProviderRaw == nil {
		return d.Errf("app %q has no provider", pattern)
	}
	if a.Apps == nil {
		a.Apps = make(map[string]*AppConfig)
	}
	a.Apps[pattern] = c
	return nil
}

func ttl(arg string) (caddy.Duration, error) {
	d, err := caddyfileopt.Duration(arg)
	switch {
	case err != nil:
		return 0, err
	case *d == 0:
		return 0, errors.New("must be longer than 0")
	}
	return *d, nil
}

func (c *AppConfig) unmarshalProvider(d *caddyfile.Dispenser) error {
	name := d.Val()
	if _, err := caddy.GetModule("matrix_push.providers." + name); err != nil {
		return d.Errf("%q is neither an option of an app nor a provider in this build", name)
	}
	if c.ProviderRaw != nil {
		return d.Errf("an app can have only one provider: remove %q or the other one", name)
	}
	return unmarshalGuest[providers.Provider](d, "matrix_push.providers", &c.ProviderRaw)
}

// guest returns the parser of an option whose first argument is the name of a module.
func guest[T any](namespace string, into *json.RawMessage) caddyfileopt.Option {
	return func(d *caddyfile.Dispenser) error {
		if *into != nil {
			return caddyfileopt.Twice(d)
		}
		if !d.NextArg() {
			return d.ArgErr()
		}
		return unmarshalGuest[T](d, namespace, into)
	}
}

// unmarshalGuest parses the module whose name is the dispenser's current token.
func unmarshalGuest[T any](d *caddyfile.Dispenser, namespace string, into *json.RawMessage) error {
	name := d.Val()
	return guarded(func() error {
		mod, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
		if err != nil {
			return err
		}
		if _, ok := mod.(T); !ok {
			return d.Errf("module %s.%s (%T) does not implement the interface of its namespace", namespace, name, mod)
		}
		*into = caddyconfig.JSONModuleObject(mod, "name", name, nil)
		return nil
	})
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*App)(nil)
	_ caddyfile.Unmarshaler = (*Handler)(nil)
)
