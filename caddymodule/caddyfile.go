package caddymodule

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("matrix_push", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("matrix_push", httpcaddyfile.Before, "invoke") // and so before handle, respond and reverse_proxy
	httpcaddyfile.RegisterGlobalOption("matrix_push", parseGlobalOption)
}

func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive, which mounts the gateway on a site:
//
//	matrix_push {
//		apps      <pattern…>
//		plaintext refuse|trusted_proxy|allow
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch d.Val() {
		case "apps":
			patterns := d.RemainingArgs()
			if len(patterns) == 0 {
				return d.ArgErr()
			}
			h.Apps = append(h.Apps, patterns...)
		case "plaintext":
			if err := once(d, &h.Plaintext, plaintextRefuse, plaintextTrustedProxy, plaintextAllow); err != nil {
				return err
			}
		default:
			return d.Errf("matrix_push has no option %q on a site", d.Val())
		}
	}
	return nil
}

// parseGlobalOption reads the global block; a second block adds to the first.
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

// UnmarshalCaddyfile reads the global block:
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
	d.Next() // the option's name
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := a.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "app":
		return a.unmarshalApp(d)
	case "rejected":
		return guest[rejected.Store](d, "matrix_push.rejected", &a.RejectedRaw)
	case "outbox":
		return guest[outbox.Box](d, "matrix_push.outbox", &a.OutboxRaw)
	case "dedupe":
		return duration(d, &a.Dedupe)
	case "fuse":
		if a.Fuse != nil {
			return d.Err("fuse is given twice")
		}
		a.Fuse = new(Fuse)
		return a.Fuse.unmarshal(d)
	case "max_body":
		var size string
		if err := argument(d, a.MaxBody != 0, &size); err != nil {
			return err
		}
		n, err := humanize.ParseBytes(size)
		if err != nil || n == 0 || n > 1<<31 {
			return d.Errf("max_body: %q is not a size between 1B and 2GiB", size)
		}
		a.MaxBody = int64(n)
		return nil
	case "max_devices":
		return positive(d, &a.MaxDevices)
	default:
		return d.Errf("matrix_push has no option %q", d.Val())
	}
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
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := c.unmarshalOption(d); err != nil {
			return err
		}
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

func (c *AppConfig) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "wait":
		return duration(d, &c.Wait)
	case "ttl":
		var ttl *caddy.Duration
		if c.TTL != 0 {
			return d.Err("ttl is given twice")
		}
		if err := duration(d, &ttl); err != nil {
			return err
		}
		if *ttl == 0 {
			return d.Err("ttl: a notification that is worth nothing cannot be delivered")
		}
		c.TTL = *ttl
		return nil
	case "content":
		return once(d, &c.Content, "event_id_only", "full")
	case "badges":
		return once(d, &c.Badges, "on", "with_events", "off")
	case "concurrency":
		return positive(d, &c.Concurrency)
	default:
		return c.unmarshalProvider(d)
	}
}

func (c *AppConfig) unmarshalProvider(d *caddyfile.Dispenser) error {
	name := d.Val()
	if _, err := caddy.GetModule("matrix_push.providers." + name); err != nil {
		return d.Errf("%q is neither an option of an app nor a provider that is compiled in", name)
	}
	if c.ProviderRaw != nil {
		return d.Errf("an app has one provider, and %q is a second one", name)
	}
	return unmarshalGuest[providers.Provider](d, "matrix_push.providers", &c.ProviderRaw)
}

// guest reads an option whose first argument is the name of a module.
func guest[T any](d *caddyfile.Dispenser, namespace string, into *json.RawMessage) error {
	option := d.Val()
	if *into != nil {
		return d.Errf("%s is given twice", option)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	return unmarshalGuest[T](d, namespace, into)
}

// unmarshalGuest reads the module whose name the dispenser is at.
func unmarshalGuest[T any](d *caddyfile.Dispenser, namespace string, into *json.RawMessage) error {
	name := d.Val()
	return guarded(func() error {
		mod, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
		if err != nil {
			return err
		}
		if _, ok := mod.(T); !ok {
			return d.Errf("module %s.%s (%T) does not implement what its namespace is for", namespace, name, mod)
		}
		*into = caddyconfig.JSONModuleObject(mod, "name", name, nil)
		return nil
	})
}

// argument reads an option's one argument, and refuses an option that was given before.
func argument(d *caddyfile.Dispenser, given bool, into *string) error {
	if given {
		return d.Errf("%s is given twice", d.Val())
	}
	if !d.AllArgs(into) {
		return d.ArgErr()
	}
	return nil
}

// once reads an option that is one of a few words.
func once(d *caddyfile.Dispenser, into *string, words ...string) error {
	option := d.Val()
	if err := argument(d, *into != "", into); err != nil {
		return err
	}
	for _, word := range words {
		if *into == word {
			return nil
		}
	}
	last := len(words) - 1
	return d.Errf("%s: %q is none of %s and %s", option, *into, strings.Join(words[:last], ", "), words[last])
}

func duration(d *caddyfile.Dispenser, into **caddy.Duration) error {
	option := d.Val()
	var s string
	if err := argument(d, *into != nil, &s); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(s)
	if err != nil || parsed < 0 {
		return d.Errf("%s: %q is not a duration", option, s)
	}
	*into = new(caddy.Duration(parsed))
	return nil
}

func positive(d *caddyfile.Dispenser, into *int) error {
	option := d.Val()
	var s string
	if err := argument(d, *into != 0, &s); err != nil {
		return err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return d.Errf("%s: %q is not a positive number", option, s)
	}
	*into = n
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*App)(nil)
	_ caddyfile.Unmarshaler = (*Handler)(nil)
)
