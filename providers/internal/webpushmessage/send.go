package webpushmessage

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/collapse"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/vapid"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

// Target is where a message goes.
type Target struct {
	Endpoint *url.URL
	// Keys are the subscription's; nil to send the message in the clear.
	Keys *ece.Keys
}

// Message is what goes there.
type Message struct {
	// Bodies are forms of the payload, poorer and poorer: the first that fits is sent, and if the push server finds that too large, the
	// last one, which is the smallest. Nearly always it is the first, so that the others are not made before they are needed.
	Bodies iter.Seq[[]byte]
	// Topic replaces an earlier message with the same topic that was not delivered yet, RFC 8030 section 5.4; empty for none.
	Topic string
}

// MaxBody is what every push service has to accept, RFC 8030 section 7.2, and the most that UnifiedPush allows.
const MaxBody = 4096

// MaxEncrypted is how much of a message fits into that once it is encrypted.
const MaxEncrypted = ece.MaxPlaintext

var errTooLarge = errors.New("the notification does not fit, however much is left out")

// Send makes one attempt to send the message, and one more with a smaller body if the push server wants that.
func (s *Sender) Send(ctx context.Context, to Target, m Message, p *providers.Push) providers.Outcome {
	limit := MaxBody
	if to.Keys != nil {
		limit = MaxEncrypted
	}
	body := firstFit(m.Bodies, limit)
	if body == nil {
		return providers.Dropped(endpoint.TooLarge, errTooLarge)
	}
	o := s.attempt(ctx, to, m.Topic, body, p)
	if o.Kind == providers.KindDropped && o.Reason == endpoint.TooLarge {
		if smallest := last(m.Bodies); len(smallest) < len(body) {
			o = s.attempt(ctx, to, m.Topic, smallest, p)
		}
	}
	return o
}

// attempt posts a body and classifies the answer.
func (s *Sender) attempt(ctx context.Context, to Target, topic string, body []byte, p *providers.Push) providers.Outcome {
	resp, err := s.post(ctx, to, topic, body, p)
	if err != nil {
		return endpoint.Failed(err)
	}
	return endpoint.Outcome(resp, s.Now())
}

// firstFit is the first body that fits, nil if none does.
func firstFit(bodies iter.Seq[[]byte], limit int) []byte {
	for b := range bodies {
		if len(b) <= limit {
			return b
		}
	}
	return nil
}

func last(bodies iter.Seq[[]byte]) (smallest []byte) {
	for smallest = range bodies {
	}
	return smallest
}

func (s *Sender) post(ctx context.Context, to Target, topic string, body []byte, p *providers.Push) (endpoint.Response, error) {
	now := s.Now()
	header := http.Header{
		"Content-Type": {"application/octet-stream"},
		// Also in the clear: push servers that follow RFC 8291 to the letter refuse anything else, and the others do not look.
		// UnifiedPush's own gateway does the same: https://codeberg.org/UnifiedPush/common-proxies.
		"Content-Encoding": {"aes128gcm"},
		// Never 0, which WNS answers with 400 (https://github.com/SherClockHolmes/webpush-go/issues/66): in the last second, it is one.
		"Ttl":        {strconv.Itoa(max(1, p.TTL(now)))},
		"Urgency":    {urgency(p.Notification)},
		"User-Agent": {"caddy-matrix-push"},
	}
	if topic != "" {
		header.Set("Topic", topic)
	}
	if to.Keys != nil {
		authorization, err := s.signer.Load().Authorization(vapid.Origin(to.Endpoint), now)
		if err != nil {
			return endpoint.Response{}, err
		}
		header.Set("Authorization", authorization)
		if body, err = ece.Encrypt(body, *to.Keys); err != nil {
			return endpoint.Response{}, err
		}
	}
	return s.client.Post(ctx, to.Endpoint, p.Site, header, body)
}

// Host returns the host and port of an endpoint, by which servers are told apart; empty if the operator chose one server for all.
func (s *Sender) Host(endpoint string) string { return s.client.Host(endpoint) }

// Astray returns an error if an endpoint is on the own site's host where no push server can be: see [endpoint.Client.Astray].
func (s *Sender) Astray(endpoint *url.URL, site providers.Site) error {
	return s.client.Astray(endpoint, site)
}

// Starting is the outcome of a push that is to be encrypted before the key is known.
func Starting() providers.Outcome {
	return providers.Busy("starting", errors.New("the VAPID key is not there yet"))
}

// Ready says whether messages can be encrypted: the key is known from when the configuration is live.
func (s *Sender) Ready() bool { return s.signer.Load() != nil }

// urgency follows RFC 8030 section 5.3: what should wake a device is high, and a badge never should.
func urgency(n *providers.Notification) string {
	if n.Badge || n.Prio == providers.PrioLow {
		return "low"
	}
	return "high"
}

// BadgeTopic is the topic of badge updates (RFC 8030 section 5.4), of which only the newest matters; empty for an alert.
func BadgeTopic(n *providers.Notification, d *providers.Device) string {
	if !n.Badge {
		return ""
	}
	return collapse.Topic("badge", d)
}
