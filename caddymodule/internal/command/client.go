package command

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
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
)

const (
	// A request to the admin API has patience to be answered; one that works through a store, or waits for a push service, more.
	patience     = 15 * time.Second
	longPatience = 45 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 32 << 20
)

// client asks the admin API. Caddy's own function for this has no timeout, and makes one text of status and error.
type client struct {
	http *http.Client
	// base is what all paths are below.
	base string
	// socket says that it is a Unix socket, where Caddy knows of no origins.
	socket bool
}

// client is for the admin API where the flags say.
func (i *invocation) client() (*client, error) {
	if i.config != "" {
		quiet() // reading a configuration is logged
	}
	address, err := caddycmd.DetermineAdminAPIAddress(i.address, nil, i.config, i.adapter)
	if err != nil {
		return nil, fmt.Errorf("the admin API's address: %w", err)
	}
	to, err := caddy.ParseNetworkAddress(address)
	if err != nil || to.PortRangeSize() > 1 {
		return nil, fmt.Errorf("the admin API's address %q is none", address)
	}
	dial, base := to.JoinHostPort(0), "http://"+to.JoinHostPort(0)
	if to.IsUnixNetwork() {
		dial, _, _ = strings.Cut(to.Host, "|") // behind it are the socket's permissions
		base = "http://127.0.0.1"              // what Caddy takes for the host of a socket
	}
	return &client{base: base, socket: to.IsUnixNetwork(), http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, to.Network, dial)
		},
	}}}, nil
}

// apiError is an answer that is none of success.
type apiError struct {
	status int
	admin.Failure
}

func (e *apiError) Error() string {
	if len(e.Candidates) > 0 {
		return e.Failure.Error + ": " + strings.Join(e.Candidates, ", ")
	}
	return e.Failure.Error
}

// get asks for what is at a path, and returns the answer as it came, too.
func (c *client) get(ctx context.Context, path string, query url.Values, into any) (raw []byte, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, patience, into)
}

// post sends a body, within the time.
func (c *client) post(ctx context.Context, path string, body any, within time.Duration, into any) (raw []byte, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, path, data, within, into)
}

func (c *client) do(ctx context.Context, method, path string, body []byte, within time.Duration, into any) ([]byte, error) {
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
		return nil, unreachable(err, c.base)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, unreachable(err, c.base)
	}
	if response.StatusCode != http.StatusOK {
		failed := &apiError{status: response.StatusCode}
		if json.Unmarshal(raw, &failed.Failure) != nil || failed.Failure.Error == "" {
			failed.Failure.Error = fmt.Sprintf("the admin API at %s answered %s: does that Caddy have the gateway?", c.base, response.Status)
		}
		return nil, failed
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, fmt.Errorf("the admin API at %s answered what is not expected: %w", c.base, err)
	}
	return raw, nil
}

// unreachable explains why there is no answer, without the request's URL.
func unreachable(err error, base string) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the admin API at %s does not answer in time", base)
	}
	return fmt.Errorf("the admin API at %s cannot be reached (see --address and --config): %w", base, err)
}
