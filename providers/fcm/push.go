package fcm

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// Reduce keeps only what a message needs of a notification, as far as it fits.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	return reduce(n, p.template.room)
}

// Push sends the notification to FCM.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	now := time.Now()
	members, o := p.data(push, p.template.room, p.faults)
	if members == nil {
		return o
	}
	a, err := p.client.send(ctx, p.template.request(sending, push, members, now))
	if err != nil {
		return failed(err)
	}
	return p.outcome(a, now)
}

// Preview returns the request that Push would make.
func (p *Provider) Preview(push *providers.Push) providers.Preview {
	now := time.Now()
	members, o := p.data(push, p.template.room, nil)
	if members == nil {
		return providers.Previewed(o)
	}
	whole, _ := p.data(push, unlimited, nil)
	return providers.Preview{Requests: []providers.Request{{
		Method: http.MethodPost, URL: p.client.url.String(), Header: p.client.header(),
		Body: p.template.request(sending, push, members, now), Whole: p.template.request(sending, push, whole, now),
	}}}
}

// data returns the data of the message, or the outcome if there is none to send.
func (p *Provider) data(push *providers.Push, limit int, faults *clientjson.Faults) (map[string]string, providers.Outcome) {
	if err := p.Usable(push.Device, push.Site); err != nil {
		return nil, providers.Unusable(badToken, err)
	}
	members, err := data(push.Notification, push.Device, limit, faults)
	switch {
	case errors.Is(err, errNothing):
		return nil, providers.Dropped(nothingToDo, nil)
	case err != nil:
		return nil, providers.Dropped("too_large", err)
	}
	return members, providers.Outcome{}
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
