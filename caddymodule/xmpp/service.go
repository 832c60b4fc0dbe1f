package xmpp

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/idna"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/node"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// engine is the part of the app matrix_push that delivers pushes.
type engine interface {
	Deliver(ctx context.Context, n *providers.Notification, d providers.Device, size int) gateway.Result
	Usable(d *providers.Device) bool
	HoldRetired(component string, node [16]byte, retired bool) (held, alarm bool)
}

// service is what one configuration says about a component.
type service struct {
	jid     string
	address address
	engine  engine
	domains domains
	rates   *rates
	window  time.Duration

	// apps has the apps by app_id. modules has those that clients choose with pushModule, and fallback is the one for clients that
	// choose none. registers has the apps by the push service that clients register for.
	apps, modules, registers map[string]*target
	fallback, relay          *target
	features                 []string

	ring *node.Ring // set by openRing
}

// target is an app of a component.
type target struct {
	appID string
	// payload is the default_payload of its devices.
	payload     object
	unimportant string
	counts      bool
	content     bool
}

// openRing reads the keys of the component's nodes. The first time, it makes them.
func (s *service) openRing(ctx context.Context, storage node.Storage) error {
	if len(s.registers) == 0 && !s.isDirect() {
		return nil // it has no nodes
	}
	name, err := idna.Lookup.ToASCII(s.jid)
	if err != nil {
		return err
	}
	s.ring, err = node.Open(ctx, storage, name)
	return err
}

// isDirect reports whether a node may be a device's token.
func (s *service) isDirect() bool { return s.fallback != nil || len(s.modules) > 0 }

// admit returns why a sender may not push or register; empty if it may. The users of a domain share a rate, but not with their server: none
// of them can use up the rate of its pushes.
func (s *service) admit(h *stanza.Header) telemetry.Alarm {
	domain, rated := h.Domain(), h.Domain()
	if !h.FromServer() {
		rated = "@" + domain
	}
	switch {
	case !s.domains.allow(domain):
		return telemetry.DomainDenied
	case !s.rates.take(rated, time.Now()):
		return telemetry.RateExceeded
	}
	return ""
}

// recipient is the device that a push is for.
type recipient struct {
	*target
	token            string
	account, channel string
}

// recipient returns the device that a publish is for, or why there is none.
func (s *service) recipient(ctx context.Context, p *stanza.Publish) (recipient, telemetry.Alarm) {
	switch {
	case s.ring == nil:
		return recipient{}, telemetry.AppMissing
	case p.Node == "":
		return recipient{}, telemetry.NodeMissing
	}
	registration, err := s.ring.Open(ctx, p.Node, p.Options["secret"], p.Domain())
	if errors.Is(err, node.ErrNotSealed) {
		return s.direct(p)
	}
	switch {
	case err == nil:
		s.engine.HoldRetired(s.jid, rejected.KeyOf(s.jid, p.Node), false)
	case errors.Is(err, node.ErrRetired):
		return recipient{}, s.retired(p.Node)
	case errors.Is(err, node.ErrUnknownKey):
		return recipient{}, telemetry.KeyUnknown
	case errors.Is(err, node.ErrSecret):
		return recipient{}, telemetry.SecretWrong
	default:
		return recipient{}, telemetry.NodeInvalid
	}
	to := s.registers[registration.App]
	if to == nil {
		return recipient{}, telemetry.AppMissing
	}
	return recipient{to, registration.Token, registration.Account, registration.Channel}, ""
}

// direct returns the device whose token is the node.
func (s *service) direct(p *stanza.Publish) (recipient, telemetry.Alarm) {
	to := s.fallback
	if module := p.Options["pushModule"]; module != "" {
		to = s.modules[module]
	}
	if to == nil {
		return recipient{}, telemetry.AppMissing
	}
	return recipient{target: to, token: p.Node}, ""
}

// retired returns why nothing is delivered to a node whose key is retired.
func (s *service) retired(sealed string) telemetry.Alarm {
	switch held, alarm := s.engine.HoldRetired(s.jid, rejected.KeyOf(s.jid, sealed), true); {
	case alarm:
		return telemetry.KeysRetired
	case held:
		return telemetry.KeyHeld
	}
	return telemetry.KeyRetired
}

// deliver hands a push to the engine. The app of a push that was held may not be configured any more.
func (s *service) deliver(p push) gateway.Result {
	if s.apps[p.device.AppID] == nil {
		return gateway.Unavailable
	}
	return s.engine.Deliver(context.Background(), p.notification, p.device, p.size())
}
