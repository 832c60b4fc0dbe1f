package xmpp

import (
	"context"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/node"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

// command answers a client's command. A registration is only a node, so nothing is stored, and there is nothing to delete.
func (r *request) command(ctx context.Context, c *stanza.Command) {
	why := r.admit(&c.Header)
	switch {
	case why == telemetry.DomainDenied:
		r.send(c.Refuse(stanza.NotAllowed), telemetry.AnswerForbidden)
	case why != "":
		r.send(c.Refuse(stanza.NotNow), telemetry.AnswerWait)
	case c.Action() == stanza.OtherCommand:
		r.send(c.Refuse(stanza.UnknownCommand), telemetry.AnswerGone)
	case c.Cancel:
		r.send(c.Canceled(), telemetry.AnswerResult)
	case c.Action() == stanza.UnregisterP2, c.Action() == stanza.UnregisterTigase:
		r.send(c.Completed(), telemetry.AnswerResult)
	default:
		r.register(ctx, c)
	}
}

// register answers a registration with a node, which the client gives to its server.
func (r *request) register(ctx context.Context, c *stanza.Command) {
	wanted, err := c.Registration()
	if err != nil {
		r.send(c.Refuse(stanza.BadForm), telemetry.AnswerError)
		return
	}
	if r.registers[wanted.Service] == nil {
		r.send(c.Refuse(stanza.UnknownCommand), telemetry.AnswerGone)
		return
	}
	p2 := c.Action() == stanza.RegisterP2
	sealed, secret, err := r.ring.Seal(ctx, node.Registration{
		App: wanted.Service, Token: wanted.Token, Account: wanted.Account, Channel: wanted.Channel, Secret: p2,
	}, c.Domain())
	if err != nil {
		r.send(c.Refuse(stanza.BadForm), telemetry.AnswerError)
		return
	}
	fields := []stanza.Field{{Name: "node", Values: []string{sealed}}}
	if p2 {
		fields = append(fields, stanza.Field{Name: "jid", Values: []string{r.jid}}, stanza.Field{Name: "secret", Values: []string{secret}})
	} else {
		fields = append(fields, stanza.Field{Name: "features", Values: []string{stanza.FeatureEncryption}, Multi: true})
	}
	r.send(c.Completed(fields...), telemetry.AnswerResult)
}
