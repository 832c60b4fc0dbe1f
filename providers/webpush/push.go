package webpush

import (
	"context"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/collapse"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// eventsOnly is the reason for a notification without an event, if the pusher asks for events only.
const eventsOnly = "events_only"

// Push encrypts the notification and posts it to the subscription's push service.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	to, o := p.subscriber(push)
	if to == nil {
		return o
	}
	return p.sender.Send(ctx, to.target(), to.message(push, p.faults), push)
}

// Preview returns the requests that Push would make.
func (p *Provider) Preview(push *providers.Push) providers.Preview {
	to, o := p.subscriber(push)
	if to == nil {
		return providers.Previewed(o)
	}
	n := push.Notification
	content, _ := clientjson.Members(n.Content)
	whole := described(n, to.defaults, true)(content)
	return p.sender.Preview(to.target(), to.message(push, nil), push, whole)
}

// subscriber returns the subscription that a push goes to, or the outcome if the push is not sent.
func (p *Provider) subscriber(push *providers.Push) (*pusher, providers.Outcome) {
	to, err := p.known.Get(push.Device, parsePusher)
	switch {
	case err != nil:
		return nil, providers.Unusable(badSubscription, err)
	case to.eventsOnly && push.Notification.EventID == "" && !push.Notification.Wake:
		return nil, providers.Dropped(eventsOnly, nil)
	case !p.sender.Ready():
		return nil, webpushmessage.Starting()
	}
	return to, providers.Outcome{}
}

func (p *pusher) target() webpushmessage.Target {
	return webpushmessage.Target{Endpoint: p.endpoint, Keys: &p.keys}
}

// message returns the message for a push.
func (p *pusher) message(push *providers.Push, faults *clientjson.Faults) webpushmessage.Message {
	n := push.Notification
	topic := webpushmessage.BadgeTopic(n, push.Device)
	if p.onlyLastPerRoom && n.RoomID != "" {
		topic = collapse.Topic(n.RoomID, push.Device) // as in Replace
	}
	if p.wrongDefaults {
		faults.LeftOut(push.Device, "default_payload", "a JSON object")
	}
	first := whole(n, p.defaults)
	return webpushmessage.Message{First: first, Bodies: bodies(n, p.defaults, first), Topic: topic}
}

// Replace keeps only the newest message of a room, if the pusher asks for that, by the same topic as at the push service.
func (p *Provider) Replace(n *providers.Notification, d *providers.Device) string {
	const wish = "only_last_per_room"
	if n.RoomID == "" || !lenient.MayHave(d.Data, `"`+wish+`"`) {
		return ""
	}
	if data, _ := clientjson.Members(d.Data); string(data[wish]) != "true" {
		return ""
	}
	return collapse.Topic(n.RoomID, d)
}
