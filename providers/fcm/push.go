package fcm

import (
	"context"
	"errors"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/network"
)

// Reduce leaves what a message has of a notification, as far as it fits.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	return reduce(n, p.template.room)
}

// Push sends the notification to FCM.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	if err := p.Usable(push.Device, push.Site); err != nil {
		return providers.Unusable(badToken, err)
	}
	now := time.Now()
	members, err := data(push.Notification, push.Device, p.template.room, p.faults)
	switch {
	case errors.Is(err, errNothing):
		return providers.Dropped("nothing_to_do", nil)
	case err != nil:
		return providers.Dropped("too_large", err)
	}
	a, err := p.client.send(ctx, p.template.message(push, members, now))
	if err != nil {
		return failed(err)
	}
	return a.outcome(now)
}

// failed classifies a push that got no answer.
func failed(err error) providers.Outcome {
	var refused *credentialError
	var wrong invalid
	switch {
	case errors.As(err, &refused):
		return refused.outcome()
	case errors.As(err, &wrong):
		return providers.Dropped("invalid_message", errors.New("the message is not one that FCM would take"))
	default:
		return network.Failed(err)
	}
}
