package xmpp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/internal/globaloption"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("xmpp_push", globaloption.Parser("xmpp_push", func() caddyfile.Unmarshaler { return new(App) }))
}

// UnmarshalCaddyfile parses the global block:
//
//	xmpp_push {
//		component <domain> {
//			server   [tls://]<host>:<port>
//			secret   <secret>
//			app <app_id> {
//				module      <name…> [default]
//				default
//				register    fcm|apns|tigase:messenger:apns:1|tigase:messenger:fcm:1 …
//				payload     <json>
//				unimportant push|low|drop
//				counts
//				content     wake|full
//			}
//			push2    <app_id>
//			allow    <domain…>
//			deny     <domain…>
//			rate     <n/s> [<burst>]
//			coalesce <duration>
//		}
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return caddyfileopt.Module(d, map[string]caddyfileopt.Option{"component": a.unmarshalComponent}, caddyfileopt.Unknown("xmpp_push"))
}

func (a *App) unmarshalComponent(d *caddyfile.Dispenser) error {
	var jid string
	if !d.AllArgs(&jid) {
		return caddyfileopt.Args(d, "component", "<domain> { … }")
	}
	for other := range a.Components {
		if strings.EqualFold(other, jid) {
			return d.Errf("component %q is given twice: remove one of them", jid)
		}
	}
	c := new(Component)
	err := caddyfileopt.Block(d, map[string]caddyfileopt.Option{
		"server":   caddyfileopt.TextLike(&c.Server, "<host>:<port>, such as 127.0.0.1:5347"),
		"secret":   secret(&c.Secret),
		"app":      c.unmarshalApp,
		"push2":    caddyfileopt.TextLike(&c.Push2, "<app_id> of an app with the provider webpush_relay"),
		"allow":    caddyfileopt.Texts(&c.Allow, "<domain> …, such as example.org, or * for all"),
		"deny":     caddyfileopt.Texts(&c.Deny, "<domain> …, such as example.org"),
		"rate":     c.unmarshalRate,
		"coalesce": caddyfileopt.Once(&c.Coalesce, caddyfileopt.Duration),
	}, caddyfileopt.Unknown("a component"))
	if err != nil {
		return fmt.Errorf("component %q: %w", jid, err)
	}
	if a.Components == nil {
		a.Components = make(map[string]*Component)
	}
	a.Components[jid] = c
	return nil
}

// secret reads the secret, which no error shows.
func secret(into *string) caddyfileopt.Option {
	return caddyfileopt.TextLike(into, "<secret>, such as {file./run/secrets/xmpp}")
}

func (c *Component) unmarshalApp(d *caddyfile.Dispenser) error {
	var appID string
	if !d.AllArgs(&appID) {
		return caddyfileopt.Args(d, "app", "<app_id> { … }")
	}
	if _, ok := c.Apps[appID]; ok {
		return d.Errf("app %q is given twice: remove one of them", appID)
	}
	a := new(AppConfig)
	err := caddyfileopt.Block(d, map[string]caddyfileopt.Option{
		"module":      a.unmarshalModule,
		"default":     flag(&a.Default),
		"register":    caddyfileopt.Texts(&a.Register, "fcm|apns|tigase:messenger:apns:1|tigase:messenger:fcm:1 …"),
		"payload":     a.unmarshalPayload,
		"unimportant": caddyfileopt.Once(&a.Unimportant, caddyfileopt.Word(unimportantPush, unimportantLow, unimportantDrop)),
		"counts":      flag(&a.Counts),
		"content":     caddyfileopt.Once(&a.Content, caddyfileopt.Word(contentWake, contentFull)),
	}, caddyfileopt.Unknown("an app of a component"))
	if err != nil {
		return fmt.Errorf("app %q: %w", appID, err)
	}
	if c.Apps == nil {
		c.Apps = make(map[string]*AppConfig)
	}
	c.Apps[appID] = a
	return nil
}

// flag reads an option without arguments.
func flag(into *bool) caddyfileopt.Option {
	return func(d *caddyfile.Dispenser) error {
		if *into {
			return caddyfileopt.Twice(d)
		}
		*into = true
		if name := d.Val(); d.NextArg() {
			return d.Errf("%s: wrong argument count: write only the word %s", name, name)
		}
		return nil
	}
}

// unmarshalModule reads names of modules. The word default after them makes the app the default, too.
func (a *AppConfig) unmarshalModule(d *caddyfile.Dispenser) error {
	var names []string
	if err := caddyfileopt.Texts(&names, "<name> … [default], as in the client's pushModule")(d); err != nil {
		return err
	}
	if last := len(names) - 1; last > 0 && names[last] == "default" {
		if a.Default {
			return d.Errf("default is given twice")
		}
		a.Default, names = true, names[:last]
	}
	a.Modules = append(a.Modules, names...)
	return nil
}

func (a *AppConfig) unmarshalPayload(d *caddyfile.Dispenser) error {
	if a.Payload != nil {
		return caddyfileopt.Twice(d)
	}
	var text string
	if !d.AllArgs(&text) {
		return caddyfileopt.Args(d, "payload", "`<json>` in backquotes")
	}
	var payload object
	if err := json.Unmarshal([]byte(text), &payload); err != nil || payload == nil {
		return d.Errf("payload: the value is not a JSON object: write it in backquotes, such as `{\"aps\":{\"alert\":{\"title\":\"New message\"}}}`")
	}
	a.Payload = json.RawMessage(text)
	return nil
}

func (c *Component) unmarshalRate(d *caddyfile.Dispenser) error {
	if c.Rate != nil {
		return caddyfileopt.Twice(d)
	}
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return caddyfileopt.Args(d, "rate", "<n>/s [<burst>], such as 100/s 1000")
	}
	r, err := parseRate(args)
	if err != nil {
		return d.WrapErr(fmt.Errorf("rate: %w", err))
	}
	c.Rate = r
	return nil
}

func parseRate(args []string) (*Rate, error) {
	number, ok := strings.CutSuffix(args[0], "/s")
	perSecond, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(perSecond > 0 && perSecond <= maxRate) {
		return nil, fmt.Errorf("%s is not a rate such as 100/s", nearest.Shown(args[0]))
	}
	r := &Rate{PerSecond: perSecond}
	if len(args) > 1 {
		if r.Burst, err = strconv.Atoi(args[1]); err != nil || r.Burst <= 0 || r.Burst > maxRate {
			return nil, errors.New(nearest.Shown(args[1]) + " is not a positive number")
		}
	}
	return r, nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*App)(nil)
