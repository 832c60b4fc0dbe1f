package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 16 << 10

// Answer is a complete answer from the server.
type Answer struct {
	// Status is the HTTP status, such as 200.
	Status int
	// Header has the answer's headers.
	Header http.Header
	// Body is the answer's body; nil if it is larger than 16 KiB. It may repeat what was sent, so it must not be shown.
	Body []byte
}

// RetryAfter returns how long the server asks to wait before the next request; 0 if it does not ask.
func (a *Answer) RetryAfter() time.Duration {
	return network.RetryAfter(a.Header.Get("Retry-After"), time.Now())
}

// Outcome classifies the answer by its status, as far as a status means the same everywhere. It never rejects a pushkey. A provider
// first checks for the answers that its push service documents, and uses Outcome for the rest.
func (a *Answer) Outcome() providers.Outcome {
	switch s := a.Status; {
	case s >= 200 && s < 300:
		return providers.Delivered()
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return providers.Misconfigured("unauthorized", nil)
	case s == http.StatusRequestEntityTooLarge:
		return providers.Dropped("too_large", nil)
	case s == http.StatusBadRequest, s == http.StatusUnsupportedMediaType, s == http.StatusUnprocessableEntity:
		return providers.Dropped("refused", nil)
	case s == http.StatusTooManyRequests:
		return providers.Retry("rate_limited", a.RetryAfter(), nil)
	case s >= 500:
		return providers.Retry("server_error", a.RetryAfter(), nil)
	default: // a redirect, which is not followed, or a 404, which may come from a proxy
		return providers.Retry("unexpected_answer", a.RetryAfter(), nil)
	}
}

// Post sends a body to a path on the server and reads the whole answer, so the connection is free for the next request. See
// [Client.URL] for the path. Post follows no redirect, and sends a request again only when [Client.RoundTrip] does. An answer that is
// cut off is an error. [network.Failed] classifies errors, which may contain the URL.
func (c *Client) Post(ctx context.Context, path string, header http.Header, body []byte) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = headerOf(header)
	resp, err := c.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	read, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, errors.Join(errHalf, err)
	case len(read) <= maxAnswer:
		a.Body = read
	}
	return a, nil
}

// headerOf returns the headers of a request to which a provider adds these.
func headerOf(added http.Header) http.Header {
	header := make(http.Header, len(added)+1)
	for name, values := range added {
		header[http.CanonicalHeaderKey(name)] = values
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "caddy-matrix-push")
	}
	return header
}

// Preview returns what [Client.Post] would send, for a [providers.Previewer]. Write [providers.Masked] in place of the pushkey in the path,
// and leave out headers with credentials. It sends nothing.
func (c *Client) Preview(path string, header http.Header, body []byte) providers.Preview {
	return providers.Preview{Requests: []providers.Request{{
		Method: http.MethodPost, URL: c.URL("").String() + path, Header: headerOf(header), Body: body,
	}}}
}

// errHalf means that an answer was cut off.
var errHalf = errors.New("the answer was cut off")
