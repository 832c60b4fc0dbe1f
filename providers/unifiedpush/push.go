package unifiedpush

import (
	"context"
	"encoding/json"
	"errors"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/message"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/upstream"
)

// Push posts the notification to the endpoint.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	endpoint, err := upstream.Endpoint(push.Device.Pushkey)
	if err != nil {
		return providers.Unusable("bad_endpoint", err)
	}
	keys, err := subscriptionKeys(push.Device.Data)
	if err != nil {
		return providers.Unusable("bad_subscription", err)
	}
	if keys != nil && !p.sender.Ready() {
		return providers.Retry("starting", 0, errors.New("the VAPID key is not there yet"))
	}
	return p.sender.Send(ctx,
		message.Target{Endpoint: endpoint, Keys: keys},
		message.Message{Bodies: bodies(push.Notification), Topic: message.BadgeTopic(push.Notification, push.Device)},
		push)
}

// Host is the endpoint's.
func (p *Provider) Host(d *providers.Device) string { return upstream.Host(d.Pushkey) }

// subscriptionKeys are the keys in the pusher's data; nil if it has none. What is half a subscription is an error: the client
// asked for encryption, and nothing is sent in the clear then.
func subscriptionKeys(data json.RawMessage) (*ece.Keys, error) {
	if len(data) == 0 {
		return nil, nil
	}
	type pair struct {
		P256dh string `json:"p256dh"`
		Auth   string `json:"auth"`
	}
	var d struct {
		P256dh string `json:"p256dh"`
		Auth   string `json:"auth"`
		Keys   pair   `json:"keys"`
	}
	if err := jsonv2.Unmarshal(data, &d, lenient.Options); err != nil {
		return nil, errors.New("data: p256dh, auth and keys are not what they are in a subscription")
	}
	found := pair{d.P256dh, d.Auth}
	if found == (pair{}) {
		found = d.Keys
	}
	if found == (pair{}) {
		return nil, nil
	}
	keys, err := ece.ParseKeys(found.P256dh, found.Auth)
	if err != nil {
		return nil, err
	}
	return &keys, nil
}
