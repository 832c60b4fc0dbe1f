package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/internal/globaloption"
	"github.com/matrix-push/caddy-matrix-push/internal/jsonopt"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("matrix_push", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("matrix_push", httpcaddyfile.Before, "invoke") // before handle, respond and reverse_proxy
	httpcaddyfile.RegisterGlobalOption("matrix_push", globaloption.Parser("matrix_push", func() caddyfile.Unmarshaler { return new(App) }))
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
		"apps":      caddyfileopt.Texts(&h.Apps, "<pattern> …, as in the global options"),
		"plaintext": caddyfileopt.Once(&h.Plaintext, caddyfileopt.Word(plaintextRefuse, plaintextTrustedProxy, plaintextAllow)),
	}, unknownOption(siteBlock))
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
		"rejected":    guest[rejected.Store](stores, &a.RejectedRaw),
		"outbox":      guest[outbox.Box](outboxes, &a.OutboxRaw),
		"dedupe":      caddyfileopt.Once(&a.Dedupe, caddyfileopt.Duration),
		"fuse":        a.unmarshalFuse,
		"max_body":    caddyfileopt.Once(&a.MaxBody, maxBody),
		"max_devices": caddyfileopt.Once(&a.MaxDevices, caddyfileopt.Positive),
	}, unknownOption(globalBlock))
}

func (a *App) unmarshalFuse(d *caddyfile.Dispenser) error {
	if a.Fuse != nil {
		return caddyfileopt.Twice(d)
	}
	a.Fuse = new(Fuse)
	return a.Fuse.unmarshal(d)
}

var maxBody = caddyfileopt.Parser[int64]{Form: "<size>, such as 256KiB", Parse: parseMaxBody}

func parseMaxBody(arg string) (int64, error) {
	n, err := humanize.ParseBytes(arg)
	if err != nil || n == 0 || n > 1<<31 {
		return 0, fmt.Errorf("%q is not a size between 1B and 2GiB, such as 256KiB", arg)
	}
	return int64(n), nil
}

func (a *App) unmarshalApp(d *caddyfile.Dispenser) error {
	var pattern string
	if !d.AllArgs(&pattern) {
		return caddyfileopt.Args(d, "app", "<pattern> { … }")
	}
	if err := gateway.CheckPattern(pattern); err != nil {
		return d.WrapErr(err)
	}
	if _, ok := a.Apps[pattern]; ok {
		return d.Errf("app %q is given twice: remove one of them", pattern)
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
		return fmt.Errorf("app %q: %w", pattern, err)
	}
	if c.ProviderRaw == nil {
		return d.Errf("app %q has no provider: add one of %s to its block", pattern, strings.Join(pushProviders.names(), ", "))
	}
	if a.Apps == nil {
		a.Apps = make(map[string]*AppConfig)
	}
	a.Apps[pattern] = c
	return nil
}

var ttl = caddyfileopt.Parser[caddy.Duration]{Form: caddyfileopt.Duration.Form, Parse: parseTTL}

func parseTTL(arg string) (caddy.Duration, error) {
	d, err := caddyfileopt.Duration.Parse(arg)
	switch {
	case err != nil:
		return 0, err
	case *d == 0:
		return 0, errors.New("must be longer than 0, such as 1d")
	}
	return *d, nil
}

func (c *AppConfig) unmarshalProvider(d *caddyfile.Dispenser, own []string) error {
	name := d.Val()
	if !pushProviders.has(name) {
		return d.Errf("%s is neither an option of an app nor a provider in this build%s%s", nearest.Shown(name),
			elsewhere(name, appBlock), nearest.Instead(name, "options and providers", append(own, pushProviders.names()...)))
	}
	if c.ProviderRaw != nil {
		return d.Errf("an app can have only one provider: remove %q or the other one", name)
	}
	return unmarshalGuest[providers.Provider](d, pushProviders, &c.ProviderRaw)
}

// The blocks with options of the gateway, as errors call them.
const (
	globalBlock = "matrix_push in the global options"
	appBlock    = "an app in the global options"
	siteBlock   = "matrix_push on a site"
)

// unknownOption refuses an option that a block does not have.
func unknownOption(block string) caddyfileopt.Otherwise {
	return func(d *caddyfile.Dispenser, own []string) error {
		return caddyfileopt.NoOption(d, block, elsewhere(d.Val(), block), own)
	}
}

// elsewhere returns the part of an error that names another block that has the option; empty if none has.
func elsewhere(option, block string) string {
	for _, other := range []struct {
		block string
		has   bool
	}{
		{globalBlock, option == "app" || option != "apps" && hasMember[App](option)},
		{appBlock, hasMember[AppConfig](option) && option != "provider" || pushProviders.has(option)},
		{siteBlock, hasMember[Handler](option)},
	} {
		if other.has && other.block != block {
			return ", but " + other.block + " has it"
		}
	}
	return ""
}

func hasMember[T any](name string) bool {
	return slices.Contains(jsonopt.Names(reflect.TypeFor[T]()), name)
}

// guest returns the parser of an option whose first argument is the name of a module.
func guest[T any](kind guests, into *json.RawMessage) caddyfileopt.Option {
	return func(d *caddyfile.Dispenser) error {
		if *into != nil {
			return caddyfileopt.Twice(d)
		}
		option := d.Val()
		if !d.NextArg() {
			return caddyfileopt.Args(d, option, strings.Join(kind.names(), "|"))
		}
		if err := kind.check(d.Val()); err != nil {
			return d.WrapErr(fmt.Errorf("%s: %w", option, err))
		}
		return unmarshalGuest[T](d, kind, into)
	}
}

// unmarshalGuest parses the module whose name is the dispenser's current token.
func unmarshalGuest[T any](d *caddyfile.Dispenser, kind guests, into *json.RawMessage) error {
	name := d.Val()
	return guarded(func() error {
		mod, err := caddyfile.UnmarshalModule(d, kind.id(name))
		if err != nil {
			return err
		}
		if _, ok := mod.(T); !ok {
			return d.Errf("module %s (%T) does not implement the interface of its namespace", kind.id(name), mod)
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
