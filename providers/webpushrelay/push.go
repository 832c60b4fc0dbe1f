package webpushrelay

import (
	"context"
	"errors"
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

// jwtRefused is the reason for a token, or a sender, that the push server refuses.
const jwtRefused = "jwt_refused"

var errRefused = errors.New("the push server refuses the sender's VAPID token")

// Start lets the client use Caddy's own certificate authorities.
func (p *Provider) Start(context.Context) error {
	p.client.Start()
	return nil
}

// Push posts the message to the endpoint.
func (p *Provider) Push(ctx context.Context, push *providers.Push) providers.Outcome {
	r, o := p.request(push)
	if r == nil {
		return o
	}
	if r.authorization != "" {
		r.header.Set("Authorization", r.authorization)
	}
	resp, err := p.client.Post(ctx, r.endpoint, push.Site, r.header, r.body)
	if err != nil {
		return endpoint.Failed(err)
	}
	return p.outcome(resp)
}

// outcome classifies an answer as for every Web Push server, with one difference. A key or token that is refused is neither the gateway's
// nor the operator's, and the token expires before anybody could correct it. So this message is dropped.
func (p *Provider) outcome(resp endpoint.Response) providers.Outcome {
	o := endpoint.Outcome(resp, p.now())
	if o.Kind != providers.KindMisconfigured {
		return o
	}
	word := o.Word
	o = providers.Dropped(jwtRefused, errRefused)
	o.Word = word
	return o
}

// Preview returns the request that Push would make.
func (p *Provider) Preview(push *providers.Push) providers.Preview {
	r, o := p.request(push)
	if r == nil {
		return providers.Previewed(o)
	}
	url, header, err := p.client.Preview(r.endpoint, push.Site, r.header)
	if err != nil {
		return providers.Previewed(endpoint.Failed(err))
	}
	return providers.Preview{Requests: []providers.Request{{Method: http.MethodPost, URL: url, Header: header, Body: r.body}}}
}

// Host returns the endpoint's host and port; empty if no message may go there.
func (p *Provider) Host(d *providers.Device) string {
	to, err := endpoint.Parse(d.Pushkey)
	if err != nil || !p.hosts.allow(to.Hostname()) {
		return ""
	}
	return p.client.HostOf(to)
}
