package fcm

import (
	"context"
	"errors"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// Reduce keeps only what a message needs of a notification, as far as it fits.
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
		return providers.Dropped(nothingToDo, nil)
	case err != nil:
		return providers.Dropped("too_large", err)
	}
	a, err := p.client.send(ctx, p.template.request(sending, push, members, now))
	if err != nil {
		return failed(err)
	}
	return p.outcome(a, now)
}

// outcome classifies an answer. With `target fid`, FCM answers a pushkey that is not an installation ID like one that is gone: Firebase's
// own integration tests expect UNREGISTERED for "INVALID_FID" (integration/messaging in https://github.com/firebase/firebase-admin-go). So
// the option may be wrong.
func (p *Provider) outcome(a *answer, now time.Time) providers.Outcome {
	o := a.outcome(now)
	if p.Target == targetFID && o.Reason == unregistered {
		o.Doubtful = true
	}
	return o
}

// failed classifies a push that got no answer.
func failed(err error) providers.Outcome {
	var refused *credentialError
	if errors.As(err, &refused) {
		return refused.outcome()
	}
	return network.Failed(err)
}
