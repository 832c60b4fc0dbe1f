package webpushmessage

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

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

// Message is what goes to a target.
type Message struct {
	// Bodies are forms of the payload, each poorer than the one before. The first that fits is sent. If the push server finds it too large,
	// the last one, which is the smallest, is sent. The others are only made when needed, since nearly always the first one fits.
	Bodies iter.Seq[[]byte]
	// First is the first of these forms, which nearly always fits; nil if it is not made yet.
	First []byte
	// Topic replaces an undelivered earlier message with the same topic, RFC 8030 section 5.4; empty for none.
	Topic string
}

// MaxBody is what every push service must accept, RFC 8030 section 7.2, and the most that UnifiedPush allows.
const MaxBody = 4096

// MaxEncrypted is how long a message may be before encryption.
const MaxEncrypted = ece.MaxPlaintext

var errTooLarge = errors.New("the notification does not fit, even in its smallest form")

// Send makes one attempt to send the message, and one more with a smaller body if the push server finds it too large.
func (s *Sender) Send(ctx context.Context, to Target, m Message, p *providers.Push) providers.Outcome {
	body := m.firstFit(to.limit())
	if body == nil {
		return tooLarge()
	}
	o := s.attempt(ctx, to, m.Topic, body, p)
	if o.Kind == providers.KindDropped && o.Reason == endpoint.TooLarge {
		if smallest := last(m.Bodies); len(smallest) < len(body) {
			o = s.attempt(ctx, to, m.Topic, smallest, p)
		}
	}
	return o
}

// limit returns how large a body may be.
func (t Target) limit() int {
	if t.Keys != nil {
		return MaxEncrypted
	}
	return MaxBody
}

// tooLarge returns the outcome of a message of which no form fits.
func tooLarge() providers.Outcome { return providers.Dropped(endpoint.TooLarge, errTooLarge) }

// attempt posts a body and classifies the answer.
func (s *Sender) attempt(ctx context.Context, to Target, topic string, body []byte, p *providers.Push) providers.Outcome {
	resp, err := s.post(ctx, to, topic, body, p)
	if err != nil {
		return endpoint.Failed(err)
	}
	return endpoint.Outcome(resp, s.Now())
}

// firstFit returns the first body that fits, nil if none does.
func (m *Message) firstFit(limit int) []byte {
	if m.First != nil && len(m.First) <= limit {
		return m.First
	}
	for b := range m.Bodies {
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

// Header returns the headers of a request, except the authorization. An empty topic means none.
func Header(topic string, p *providers.Push, now time.Time) http.Header {
	header := http.Header{
		"Content-Type": {"application/octet-stream"},
		// This also applies to messages in the clear: push servers that follow RFC 8291 to the letter refuse anything else, and the others
		// ignore it. UnifiedPush's own gateway does the same: https://codeberg.org/UnifiedPush/common-proxies.
		"Content-Encoding": {"aes128gcm"},
		// Never 0, which WNS answers with 400 (https://github.com/SherClockHolmes/webpush-go/issues/66): in the last second, it is one.
		"Ttl":        {strconv.Itoa(max(1, p.TTL(now)))},
		"Urgency":    {urgency(p.Notification)},
		"User-Agent": {"caddy-matrix-push"},
	}
	if topic != "" {
		header.Set("Topic", topic)
	}
	return header
}

func (s *Sender) post(ctx context.Context, to Target, topic string, body []byte, p *providers.Push) (endpoint.Response, error) {
	now := s.Now()
	header := Header(topic, p, now)
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

// Host returns the host and port of an endpoint, which identify its server; empty if the operator set one server for all.
func (s *Sender) Host(endpoint string) string { return s.client.Host(endpoint) }

// HostOf is [Sender.Host] for an endpoint that is parsed.
func (s *Sender) HostOf(endpoint *url.URL) string { return s.client.HostOf(endpoint) }

// Astray returns an error if an endpoint is on this site's host where no push server can be: see [endpoint.Client.Astray].
func (s *Sender) Astray(endpoint *url.URL, site providers.Site) error {
	return s.client.Astray(endpoint, site)
}

// Starting returns the outcome of an encrypted push before the key is known.
func Starting() providers.Outcome {
	return providers.Busy(starting, errors.New("the VAPID key is not loaded yet"))
}

// Explain returns what a reason of [Starting] or [Sender.Send] means and what to do about it; empty for other reasons.
func Explain(reason string) string {
	if reason == starting {
		return "the VAPID key is not loaded yet: the push is retried"
	}
	return endpoint.Explain(reason)
}

// starting is the reason for an encrypted push before the key is known.
const starting = "starting"

// Ready reports whether messages can be encrypted: the key is known once the configuration is live.
func (s *Sender) Ready() bool { return s.signer.Load() != nil }

// urgency follows RFC 8030 section 5.3: a push that should wake a device is high, and a badge update never is.
func urgency(n *providers.Notification) string {
	if n.Badge || n.Prio == providers.PrioLow {
		return "low"
	}
	return "high"
}

// BadgeTopic returns the topic of badge updates (RFC 8030 section 5.4), of which only the newest matters; empty for an alert.
func BadgeTopic(n *providers.Notification, d *providers.Device) string {
	if !n.Badge {
		return ""
	}
	return collapse.Topic("badge", d)
}
