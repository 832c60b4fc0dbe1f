package fcm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/posting"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/service"
)

// client sends messages. It makes its own requests, without Firebase's SDK: see docs/decisions/fcm-message.md.
type client struct {
	url     *url.URL
	service *service.Client
	tokens  *tokens
}

// server is FCM's URL.
var server = &url.URL{Scheme: "https", Host: "fcm.googleapis.com"}

func newClient(project string, settings *network.Settings, tokens *tokens) (*client, error) {
	connections, err := service.NewClient(service.Options{Server: server, Settings: settings, HTTP2Only: true})
	if err != nil {
		return nil, err
	}
	return &client{
		// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send
		url:     connections.URL("/v1/projects/" + project + "/messages:send"),
		service: connections,
		tokens:  tokens,
	}, nil
}

// Concurrency returns how many messages FCM takes at the same time, by the limit that it announces on each connection.
func (p *Provider) Concurrency() int { return p.client.service.Concurrency() }

// answer is FCM's answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends a request's body with an access token, and once more with a fresh one if FCM does not accept the first.
func (c *client) send(ctx context.Context, body []byte) (*answer, error) {
	token, err := c.tokens.get(ctx)
	if err != nil {
		return nil, err
	}
	a, err := c.post(ctx, body, token)
	if err != nil || !a.unauthenticated() {
		return a, err
	}
	c.tokens.refused(token)
	fresh, err := c.tokens.get(ctx)
	switch {
	case err != nil:
		return nil, err
	case fresh == token:
		return a, nil
	default:
		return c.post(ctx, body, fresh)
	}
}

var (
	contentType = []string{"application/json"}
	userAgent   = []string{"caddy-matrix-push"}
	// errorFormat asks for errors with a status and details, as Firebase's SDKs do.
	errorFormat = []string{"2"}
)

// maxAnswer is how much of an answer is read: an error has a few hundred bytes.
const maxAnswer = 16 << 10

// header returns the headers of a request, except the access token.
func (c *client) header() http.Header {
	header := http.Header{
		"Content-Type":              contentType,
		"User-Agent":                userAgent,
		"X-Goog-Api-Format-Version": errorFormat,
	}
	if project := c.tokens.quotaProject(); project != "" {
		header["X-Goog-User-Project"] = []string{project} // https://cloud.google.com/docs/quotas/set-quota-project
	}
	return header
}

// post makes one request.
func (c *client) post(ctx context.Context, body []byte, token string) (*answer, error) {
	header := c.header()
	header["Authorization"] = []string{"Bearer " + token}
	resp, err := c.service.RoundTrip(posting.New(ctx, c.url, header, body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.status != http.StatusOK {
		if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
			return nil, err // half an error would look like one from a proxy
		}
	}
	return a, nil
}

// close releases the connections and the token. A nil client has none.
func (c *client) close() error {
	if c == nil {
		return nil
	}
	return errors.Join(c.service.Close(), c.tokens.Close())
}
