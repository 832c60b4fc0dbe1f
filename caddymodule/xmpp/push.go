package xmpp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/coalesce"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/stanza"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// push is a notification for one device.
type push struct {
	notification *providers.Notification
	device       providers.Device
}

// size returns how many bytes a push takes.
func (p *push) size() int {
	return len(p.device.Data) + len(p.device.Pushkey) + len(p.notification.Sender) + len(p.notification.Content)
}

// answerSize is how many bytes an answer takes until it is given.
func answerSize(h *stanza.Header) int { return 256 + len(h.ID) + len(h.From) + len(h.To) }

// object is a JSON object.
type object = map[string]json.RawMessage

// The urgencies of pushes.
const (
	unimportant uint8 = iota
	important
	call
)

// publish hands on a push of XEP-0357.
func (r *request) publish(ctx context.Context, p *stanza.Publish) {
	if !p.FromServer() {
		r.refuse(p, telemetry.SenderNotServer)
		return
	}
	if why := r.admit(&p.Header); why != "" {
		r.refuse(p, why)
		return
	}
	if p.Fault != "" {
		r.refuse(p, telemetry.NotUnderstood)
		return
	}
	to, why := r.recipient(ctx, p)
	if why != "" {
		r.refuse(p, why)
		return
	}
	if !p.Important() && to.unimportant == unimportantDrop {
		r.send(p.Answer(stanza.Taken, ""), telemetry.AnswerResult)
		return
	}
	out := push{notification: to.notification(p), device: to.device(p)}
	if !r.engine.Usable(&out.device) {
		r.refuse(p, telemetry.Unusable)
		return
	}
	answered := &stanza.Publish{Header: p.Header} // many answers may wait, and need no more
	waits := answerSize(&p.Header)
	r.conn.pushes.Offer(coalesce.Push[push, gateway.Result]{
		Device: hash(to.appID, to.token, to.account, to.channel), Sender: hash(p.Domain()),
		Urgency: urgency(p), Shows: to.shows(p, out.notification), Size: out.size() + waits, AnswerSize: waits, Value: out,
		Answer: func(result gateway.Result, coalesced bool) {
			if coalesced {
				r.conn.status.Coalesced()
			}
			r.answer(answered, result)
		},
	})
}

// push2 hands on a push of Push 2.0. What its sender or its client did wrong is not the operator's matter, so it raises no alarm.
func (r *request) push2(p *stanza.Push2) {
	if why := r.refusal2(p); why != "" {
		r.conn.status.Refused(why, p.Domain())
		r.send(nil, telemetry.AnswerNone)
		return
	}
	// Without a payload, the newest push is as good as all of them.
	out := push{notification: &providers.Notification{Wake: p.Payload == nil}, device: r.relay.relayed(p)}
	if !p.Important() {
		out.notification.Prio = providers.PrioLow
	}
	if !r.engine.Usable(&out.device) {
		r.conn.status.Refused(telemetry.Undeliverable, p.Domain())
		r.send(nil, telemetry.AnswerNone)
		return
	}
	answered := &stanza.Push2{Header: p.Header}
	waits := answerSize(&p.Header)
	r.conn.pushes.Offer(coalesce.Push[push, gateway.Result]{
		// Each message has a separate content, so none stands for another one.
		Device: hash(r.relay.appID, p.Client, string(p.Payload)), Sender: hash(p.Domain()), Urgency: urgency2(p), Shows: shows2(p),
		Size: out.size() + waits, AnswerSize: waits, Value: out,
		Answer: func(result gateway.Result, coalesced bool) {
			if coalesced {
				r.conn.status.Coalesced()
			}
			r.answer2(answered, result)
		},
	})
}

// refusal2 returns why a push of Push 2.0 is not handed to an app; empty if it is.
func (r *request) refusal2(p *stanza.Push2) telemetry.Alarm {
	if !p.FromServer() {
		return telemetry.SenderNotServer
	}
	if why := r.admit(&p.Header); why != "" {
		return why
	}
	switch {
	case r.relay == nil:
		return telemetry.AppMissing
	case p.Client == "", p.Fault != "":
		return telemetry.Undeliverable
	}
	return ""
}

func urgency(p *stanza.Publish) uint8 {
	switch {
	case p.Encrypted != nil && p.Encrypted.Type == "voip":
		return call
	case p.Important():
		return important
	}
	return unimportant
}

func urgency2(p *stanza.Push2) uint8 {
	switch {
	case p.VoIP:
		return call
	case p.Important():
		return important
	}
	return unimportant
}

// shows2 tells calls from other pushes. Pushes with different payloads are never compared.
func shows2(p *stanza.Push2) (shows [16]byte) {
	if p.VoIP {
		shows = hash("voip")
	}
	return shows
}

// notification returns what a publish tells the app's devices.
func (t *target) notification(p *stanza.Publish) *providers.Notification {
	n := &providers.Notification{Wake: true}
	if !p.Important() && t.unimportant == unimportantLow {
		n.Prio = providers.PrioLow
	}
	// Prosody and Openfire always count one message.
	if count := int64(p.Summary.MessageCount); count > 1 || count == 1 && t.counts {
		n.Counts.Unread = &count
	}
	if t.content && p.Summary.LastBody != "" {
		n.Type, n.Sender = "m.room.message", p.Summary.LastSender
		n.Content, _ = json.Marshal(map[string]string{"msgtype": "m.text", "body": p.Summary.LastBody}) // strings do not fail
	}
	return n
}

// shows identifies what a publish shows; zero if it only wakes the device.
func (t *target) shows(p *stanza.Publish, n *providers.Notification) [16]byte {
	own := t.own(p)
	if n.Counts.Unread == nil {
		return own
	}
	return hash(hex.EncodeToString(own[:]), strconv.FormatInt(*n.Counts.Unread, 10))
}

// own identifies the content that a publish brings to the device; zero if it brings none.
func (t *target) own(p *stanza.Publish) [16]byte {
	switch {
	case p.Encrypted != nil:
		return hash(p.Encrypted.Data, p.Encrypted.IV)
	case t.content && p.Summary.LastBody != "":
		return hash(p.Summary.LastSender, p.Summary.LastBody)
	}
	return [16]byte{}
}

// device returns the device of a publish. What the client must get is in its default_payload.
func (to *recipient) device(p *stanza.Publish) providers.Device {
	payload := maps.Clone(to.payload)
	if payload == nil {
		payload = make(object)
	}
	set := func(name, value string) {
		if value != "" {
			payload[name], _ = json.Marshal(value) // a string does not fail
		}
	}
	set("account", to.account)
	set("channel", to.channel)
	if p.Encrypted != nil {
		set("encrypted", p.Encrypted.Data)
		set("iv", p.Encrypted.IV)
		set("type", p.Encrypted.Type)
	}
	d := deviceWith(to.appID, to.token, map[string]any{"default_payload": payload})
	d.Account = to.account + to.channel
	if own := to.own(p); own != [16]byte{} { // a later push does not stand for it
		d.Account += hex.EncodeToString(own[:])
	}
	return d
}

// relayed returns the device of a message of Push 2.0, as the provider webpush_relay reads it.
func (t *target) relayed(p *stanza.Push2) providers.Device {
	data := make(map[string]any)
	if p.Payload != nil {
		data["payload"] = base64.StdEncoding.EncodeToString(p.Payload)
	}
	if p.JWT != nil {
		data["jwt"], data["key"] = p.JWT.Token, p.JWT.Key
	}
	return deviceWith(t.appID, p.Client, data)
}

func deviceWith(appID, pushkey string, data map[string]any) providers.Device {
	raw, _ := json.Marshal(data) // strings, and JSON that was checked, do not fail
	return providers.Device{AppID: appID, Pushkey: pushkey, Data: raw}
}

// hash returns a hash of texts.
func hash(texts ...string) [16]byte {
	h := sha256.New()
	for _, text := range texts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(text), text) // the length separates them
	}
	return [16]byte(h.Sum(nil)[:16])
}
