package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 16 << 10

// Answer is a whole answer of the server.
type Answer struct {
	Status int
	Header http.Header
	// Body is nil if it has more than 16 KiB. It may repeat what was sent: it must not be shown.
	Body []byte
}

// Post posts a body to a path on the server, reads the answer, and makes the connection free for the next request. It follows no redirect,
// and sends once, but for what [Client.RoundTrip] sends again. Half an answer is none. An error is one for network.Failed: it may have the URL
// in it.
func (c *Client) Post(ctx context.Context, path string, header http.Header, body []byte) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "caddy-matrix-push")
	}
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

// errHalf says that an answer was cut off.
var errHalf = errors.New("the answer was cut off")
