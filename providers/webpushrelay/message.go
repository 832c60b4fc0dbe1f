package webpushrelay

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

const (
	// nothingToDo is the reason for a badge update, which has no message.
	nothingToDo = "nothing_to_do"
	// badEndpoint is the reason for a pushkey that is not the URL of an endpoint. It rejects nobody: it came with this message, and the
	// sender may correct it.
	badEndpoint = "bad_endpoint"
	// hostNotAllowed is the reason for an endpoint at a host that the operator does not list.
	hostNotAllowed = "host_not_allowed"
	// badMessage is the reason for data that contains no message.
	badMessage = "bad_message"
)

var (
	errHost    = errors.New("the option hosts does not list the endpoint's host")
	errData    = errors.New("data is not an object with strings")
	errPayload = errors.New("data.payload is not base64")
	errSize    = errors.New("data.payload has more than 4096 bytes")
)

// message is what a device's data contains.
type message struct {
	Payload string `json:"payload"`
	JWT     string `json:"jwt"`
	Key     string `json:"key"`
}

// request is a request to a push server.
type request struct {
	endpoint *url.URL
	// header has no authorization.
	header        http.Header
	authorization string
	body          []byte
}

// request returns the request for a push, or the outcome if there is none to make.
func (p *Provider) request(push *providers.Push) (*request, providers.Outcome) {
	if push.Notification.Badge {
		return nil, providers.Dropped(nothingToDo, nil)
	}
	to, err := endpoint.Parse(push.Device.Pushkey)
	switch {
	case err != nil:
		return nil, providers.Dropped(badEndpoint, err)
	case !p.hosts.allow(to.Hostname()):
		return nil, providers.Blocked(hostNotAllowed, errHost)
	}
	var m message
	if len(push.Device.Data) > 0 && lenient.Unmarshal(push.Device.Data, &m) != nil {
		return nil, providers.Dropped(badMessage, errData)
	}
	body, err := ece.Decode(m.Payload)
	switch {
	case err != nil:
		return nil, providers.Dropped(badMessage, errPayload)
	case len(body) > webpushmessage.MaxBody:
		return nil, providers.Dropped(endpoint.TooLarge, errSize)
	}
	now := p.now()
	t, o := m.token(to, now)
	if t == nil {
		return nil, o
	}
	return &request{to, header(push, len(body), t.expires, now), t.authorization, body}, providers.Outcome{}
}

// header returns the headers of a message. A push server must not keep it for longer than its token is valid; zero means that it has none.
func header(push *providers.Push, size int, expires, now time.Time) http.Header {
	kept := *push
	if !expires.IsZero() && expires.Before(push.Expires) {
		kept.Expires = expires
	}
	h := webpushmessage.Header("", &kept, now)
	if size == 0 {
		h.Del("Content-Encoding")
		h.Del("Content-Type")
	}
	return h
}

// Reduce leaves out everything but the priority, since nothing else is sent.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	return &providers.Notification{Prio: n.Prio, Badge: n.Badge, Wake: n.Wake}
}
