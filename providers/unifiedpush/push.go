package unifiedpush

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

// Push posts the notification to the endpoint.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	to, o := p.subscriber(push.Device)
	if to.Endpoint == nil {
		return o
	}
	return p.sender.Send(ctx, to, messageFor(push, to), push)
}

// Preview returns the requests that Push would make.
func (p *Provider) Preview(push *providers.Push) providers.Preview {
	to, o := p.subscriber(push.Device)
	if to.Endpoint == nil {
		return providers.Previewed(o)
	}
	m := messageFor(push, to)
	var whole []byte
	for whole = range m.Bodies {
		break
	}
	return p.sender.Preview(to, m, push, whole)
}

// subscriber returns where a device's messages go, or the outcome if they are not sent.
func (p *Provider) subscriber(d *providers.Device) (webpushmessage.Target, providers.Outcome) {
	to, err := p.known.Get(d, read)
	if why, ok := errors.AsType[*providers.UnusableError](err); ok {
		return webpushmessage.Target{}, providers.Unusable(why.Reason, why.Err)
	}
	if to.Keys != nil && !p.sender.Ready() {
		return webpushmessage.Target{}, webpushmessage.Starting()
	}
	return to, providers.Outcome{}
}

// messageFor returns the message for a push.
func messageFor(push *providers.Push, to webpushmessage.Target) webpushmessage.Message {
	n, d, encrypted := push.Notification, push.Device, to.Keys != nil
	members := n.Members()
	return webpushmessage.Message{
		First:  first(n, members, d, encrypted),
		Bodies: bodies(n, members, d, encrypted),
		Topic:  webpushmessage.BadgeTopic(n, d),
	}
}

// Usable returns an error if the pushkey is not the URL of an endpoint, or is one on this site's host where there is none, or if the data
// has half a subscription. Push ignores the site: pushes that are pending since before a reload are sent, whatever the new configuration
// says.
func (p *Provider) Usable(d *providers.Device, site providers.Site) error {
	to, err := p.known.Get(d, read)
	if err != nil {
		return err
	}
	if err := p.sender.Astray(to.Endpoint, site); err != nil {
		return &providers.UnusableError{Reason: badEndpoint, Err: fmt.Errorf("the endpoint: %w", err), Doubtful: true}
	}
	return nil
}

const (
	// badEndpoint is the reason for a pushkey that is not an endpoint to send to.
	badEndpoint = "bad_endpoint"
	// badSubscription is the reason for data with half a subscription, or an invalid one.
	badSubscription = "bad_subscription"
)

// read returns where a device's messages go, and the keys to encrypt them with, if it has any. The error is a [providers.UnusableError].
func read(d *providers.Device) (webpushmessage.Target, error) {
	to, err := endpoint.Parse(d.Pushkey)
	if err != nil {
		return webpushmessage.Target{}, &providers.UnusableError{Reason: badEndpoint, Err: err}
	}
	keys, err := subscriptionKeys(d.Data)
	if err != nil {
		return webpushmessage.Target{}, &providers.UnusableError{Reason: badSubscription, Err: err}
	}
	return webpushmessage.Target{Endpoint: to, Keys: keys}, nil
}

// Host returns the endpoint's host and port.
func (p *Provider) Host(d *providers.Device) string {
	if to, ok := p.known.Peek(d); ok {
		return p.sender.HostOf(to.Endpoint)
	}
	return p.sender.Host(d.Pushkey)
}

// subscriptionKeys returns the keys in the pusher's data; nil if it has none. Half a subscription is an error: the client asked for
// encryption, so nothing is sent in the clear.
func subscriptionKeys(data json.RawMessage) (*ece.Keys, error) {
	if !lenient.MayHave(data, `"p256dh"`, `"auth"`, `"keys"`) {
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
	if err := lenient.Unmarshal(data, &d); err != nil {
		return nil, errors.New("data: p256dh, auth and keys do not have the types of a subscription")
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
