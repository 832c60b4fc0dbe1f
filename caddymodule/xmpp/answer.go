package xmpp

import (
	"context"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/component"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
)

// The kinds of stanzas, as metrics show them.
const (
	kindPublish = "publish"
	kindPush2   = "push2"
	kindCommand = "command"
	kindDisco   = "disco"
	kindPing    = "ping"
	kindOther   = "other"
)

// request is a stanza with what is needed to answer it.
type request struct {
	*service
	conn  *connection
	kind  string
	reply component.Reply
}

// Handle answers a stanza, or hands its push on, which is then answered later.
func (c *connection) Handle(ctx context.Context, raw []byte, reply component.Reply) {
	s := c.current.Load()
	r := request{service: s, conn: c, reply: reply}
	parsed, err := stanza.Parse(raw, s.jid)
	if err != nil {
		c.status.Refused(telemetry.NotUnderstood, "")
	}
	switch p := parsed.(type) {
	case *stanza.Publish:
		r.kind = kindPublish
		r.publish(ctx, p)
	case *stanza.Push2:
		r.kind = kindPush2
		r.push2(p)
	case *stanza.Command:
		r.kind = kindCommand
		r.command(ctx, p)
	case *stanza.Info:
		r.kind = kindDisco
		r.send(p.Answer(s.features...), telemetry.AnswerResult)
	case *stanza.Items:
		r.kind = kindDisco
		r.send(p.Answer(), telemetry.AnswerResult)
	case *stanza.Ping:
		r.kind = kindPing
		r.send(p.Answer(), telemetry.AnswerResult)
	case *stanza.Unsupported:
		r.kind = kindOther
		r.send(p.Answer(), telemetry.AnswerError)
	default:
		c.status.Stanza(kindOther, telemetry.AnswerNone)
	}
}

// Refuse answers a stanza that there is no room for. Only pushes and registrations need an answer, because their senders would wait for one.
func (c *connection) Refuse(raw []byte, reply component.Reply) {
	s := c.current.Load()
	r := request{service: s, conn: c, reply: reply}
	parsed, _ := stanza.Parse(raw, s.jid)
	switch p := parsed.(type) {
	case *stanza.Publish:
		r.kind = kindPublish
		r.refuse(p, telemetry.Busy)
	case *stanza.Push2:
		r.kind = kindPush2
		c.status.Refused(telemetry.Busy, "")
		c.status.Stanza(r.kind, telemetry.AnswerNone)
	case *stanza.Command:
		r.kind = kindCommand
		r.send(p.Refuse(stanza.NotNow), telemetry.AnswerWait)
	default:
		c.status.Stanza(kindOther, telemetry.AnswerNone)
	}
}

// send sends an answer; nil if there is none.
func (r *request) send(answer []byte, kind telemetry.StanzaAnswer) {
	if answer != nil && r.reply(answer) != nil {
		kind = telemetry.AnswerLost
	}
	r.conn.status.Stanza(r.kind, kind)
}

// refuse answers a push that is not handed to an app. The sender's registration stays, unless the reason is a retired key.
func (r *request) refuse(p *stanza.Publish, why telemetry.Alarm) {
	r.conn.status.Refused(why, p.Domain())
	switch why {
	case telemetry.KeyRetired:
		r.send(p.Answer(stanza.Gone, "the node is too old: the client must register again"), telemetry.AnswerGone)
	case telemetry.SenderNotServer:
		r.send(p.Answer(stanza.Forbidden, "only servers may send pushes"), telemetry.AnswerForbidden)
	case telemetry.DomainDenied:
		r.send(p.Answer(stanza.Wait, "the operator of this push service does not accept pushes from this server"), telemetry.AnswerWait)
	case telemetry.RateExceeded, telemetry.Busy:
		r.send(p.Answer(stanza.Wait, "too many pushes"), telemetry.AnswerWait)
	case telemetry.NotUnderstood:
		r.send(p.Answer(stanza.Wait, "the push was not understood"), telemetry.AnswerWait)
	default:
		r.send(p.Answer(stanza.Wait, "the registration does not fit to an app of this push service"), telemetry.AnswerWait)
	}
}

// answer answers a push with what became of it.
func (r *request) answer(p *stanza.Publish, result gateway.Result) {
	switch {
	case result == gateway.Unavailable:
		r.send(p.Answer(stanza.Wait, "the push cannot be delivered at the moment"), telemetry.AnswerWait)
	case dead(result):
		r.send(p.Answer(stanza.Gone, "the device is no longer registered"), telemetry.AnswerGone)
	default:
		r.send(p.Answer(stanza.Taken, ""), telemetry.AnswerResult)
	}
}

// answer2 answers a push of Push 2.0. Only a death is worth an answer: no server acts on others, and none repeats a push.
func (r *request) answer2(p *stanza.Push2, result gateway.Result) {
	if dead(result) {
		r.send(p.Answer(stanza.Gone, "the device is no longer registered"), telemetry.AnswerGone)
		return
	}
	r.send(nil, telemetry.AnswerNone)
}

// dead reports whether a device is believed to be dead.
func dead(r gateway.Result) bool { return r == gateway.Rejected || r == gateway.RejectedBefore }
