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
	to, err := parsePusher(push.Device)
	if err != nil {
		return providers.Unusable(badSubscription, err)
	}
	n := push.Notification
	if to.eventsOnly && n.EventID == "" {
		return providers.Dropped(eventsOnly, nil)
	}
	if !p.sender.Ready() {
		return webpushmessage.Starting()
	}
	topic := webpushmessage.BadgeTopic(n, push.Device)
	if to.onlyLastPerRoom && n.RoomID != "" {
		topic = collapse.Topic(n.RoomID, push.Device) // as in Replace
	}
	return p.sender.Send(ctx,
		webpushmessage.Target{Endpoint: to.endpoint, Keys: &to.keys},
		webpushmessage.Message{Bodies: bodies(n, clientjson.DefaultPayloadIn(to.defaultPayload, push.Device, p.faults)), Topic: topic},
		push)
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
