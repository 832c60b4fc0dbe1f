// Package adminclient asks the gateway's routes in the admin API of a running Caddy, over TCP or a Unix socket.
package adminclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
)

const (
	// Patience bounds a request to the admin API.
	Patience = 15 * time.Second
	// LongPatience bounds requests that scan a store or wait for a push service.
	LongPatience = 45 * time.Second
	// maxAnswer bounds how much of an answer is read.
	maxAnswer = 32 << 20
)

// Client calls the admin API. Caddy's own function for this has no timeout, and merges the status and the error into one text.
type Client struct {
	http *http.Client
	// base is the URL that all paths are relative to, and shown is the address in errors.
	base, shown string
	// socket means that the address is a Unix socket, for which Caddy checks no origins.
	socket bool
}

// New returns a client for the admin API at an address.
func New(to caddy.NetworkAddress) *Client {
	c := &Client{socket: to.IsUnixNetwork()}
	dial := to.JoinHostPort(0)
	c.base = "http://" + dial
	c.shown = c.base
	if c.socket {
		dial = to.Host
		c.base = "http://127.0.0.1" // the host that Caddy expects on a socket
		c.shown = "unix/" + to.Host
	}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, to.Network, dial)
		},
	}}
	return c
}

// Error is an answer with a status other than 200.
type Error struct {
	Status  int
	Failure admin.Failure
	// Explained means that the admin API said why. Otherwise, the answer may be that of another program.
	Explained bool
}

func (e *Error) Error() string {
	if len(e.Failure.Candidates) > 0 {
		return e.Failure.Error + ": " + strings.Join(e.Failure.Candidates, ", ")
	}
	return e.Failure.Error
}

// Address returns the address to show.
func (c *Client) Address() string { return c.shown }

// Get requests a path. It decodes the answer and also returns it unchanged.
func (c *Client) Get(ctx context.Context, path string, query url.Values, into any) (raw []byte, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, Patience, into)
}

// Post sends a body to a path, with a time limit.
func (c *Client) Post(ctx context.Context, path string, body any, within time.Duration, into any) (raw []byte, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, path, data, within, into)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, within time.Duration, into any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/matrix_push/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if !c.socket {
		request.Header.Set("Origin", c.base)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, unreachable(err, c.shown)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, unreachable(err, c.shown)
	}
	if response.StatusCode != http.StatusOK {
		failed := &Error{Status: response.StatusCode, Explained: true}
		if json.Unmarshal(raw, &failed.Failure) != nil || failed.Failure.Error == "" {
			failed.Explained = false
			failed.Failure.Error = fmt.Sprintf("the admin API at %s answered %s: does this Caddy include the gateway?", c.shown, response.Status)
		}
		return nil, failed
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, fmt.Errorf("the admin API at %s sent an unexpected answer: %w", c.shown, err)
	}
	return raw, nil
}

// unreachable returns an error that explains why there is no answer. It does not include the request's URL.
func unreachable(err error, address string) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the admin API at %s did not answer in time", address)
	}
	return fmt.Errorf("the admin API at %s cannot be reached (see --address and --config): %w", address, err)
}
