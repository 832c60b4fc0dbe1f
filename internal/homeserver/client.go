package homeserver

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
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience bounds one request with its answer.
	patience = 10 * time.Second
	// maxAnswer bounds an answer's size. The members of a large room take the most.
	maxAnswer = 8 << 20
	// maxRedirects bounds how many redirects of one request are followed.
	maxRedirects = 3
)

// Client sends a user's requests to their homeserver. It may be used by several goroutines.
type Client struct {
	http    *http.Client
	token   string
	timeout time.Duration
	sent    atomic.Int64

	// given is the address that the user wrote.
	given *url.URL
	mu    sync.Mutex
	// base is where requests are sent, once it is known, and versions is what the homeserver supports.
	base     *url.URL
	versions *Versions
}

// New returns a client for the homeserver at an address such as https://matrix.example.org, with a user's access token. It sends no
// request. If the address is not a homeserver's, the first request looks for the homeserver in its .well-known/matrix/client.
func New(address, token string) (*Client, error) {
	given, err := parse(address)
	if err != nil {
		return nil, err
	}
	switch token = strings.TrimSpace(token); {
	case token == "":
		return nil, errors.New("the access token is empty: write the token of a session that is logged in")
	case strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }):
		return nil, errors.New("the access token contains a space, a line break or a special character: write only the token, on one line")
	}
	return &Client{
		http: &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10},
			CheckRedirect: sameHost,
		},
		token: token, timeout: patience, given: given,
	}, nil
}

// parse reads a homeserver's address. Errors don't contain it, because it may contain a password.
func parse(address string) (*url.URL, error) {
	const write = ": write it as https://matrix.example.org"
	if address = strings.TrimSpace(address); !strings.Contains(address, "://") {
		address = "https://" + address
	}
	parsed, err := url.Parse(address)
	switch {
	case err != nil, parsed.Hostname() == "", parsed.User != nil, parsed.RawQuery != "", parsed.Fragment != "":
		return nil, errors.New("the homeserver's address is not a URL with only a scheme, a host and a port" + write)
	case parsed.Scheme == "http" && !loopback(parsed.Hostname()):
		return nil, errors.New("the homeserver's address uses http, so others on the network could read the access token" + write)
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return nil, errors.New("the homeserver's address is not an https URL" + write)
	}
	return &url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: strings.TrimRight(parsed.Path, "/")}, nil
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// sameHost refuses redirects to another host: the homeserver there would get the token.
func sameHost(next *http.Request, before []*http.Request) error {
	first := before[0]
	if next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host || first.Method != http.MethodGet || len(before) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// Requests returns how many requests have been sent.
func (c *Client) Requests() int { return int(c.sent.Load()) }

// Address returns where requests are sent. Until the first request, that is the address that New got.
func (c *Client) Address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.base != nil {
		return c.base.String()
	}
	return c.given.String()
}

// call sends a request of the user. The path is below /_matrix/client, and its variable parts are escaped.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body any) (json.RawMessage, error) {
	if _, err := c.Versions(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	r := request{method: method, base: c.base, path: "/_matrix/client" + path, query: query, token: c.token}
	c.mu.Unlock()
	if body != nil {
		var err error
		if r.body, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	a, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// request is one request. Without a token, it is not a user's.
type request struct {
	method string
	base   *url.URL
	path   string
	query  url.Values
	body   []byte
	token  string
}

func (r *request) String() string { return r.method + " " + r.path }

// answer is JSON, with the software that the homeserver names.
type answer struct {
	body   json.RawMessage
	server string
}

// send sends a request and reads the answer, which is JSON with status 200.
func (c *Client) send(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	address := r.base.String() + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, fmt.Errorf("the homeserver's address is wrong: %w", reason(err))
	}
	req.Header.Set("User-Agent", "caddy-matrix-push")
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c.sent.Add(1)
	response, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.noAnswer(r, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, c.noAnswer(r, err)
	case len(body) > maxAnswer:
		return answer{}, &Error{text: fmt.Sprintf("the answer of %s to %s is larger than %d MiB", r.base, r.String(), maxAnswer>>20)}
	}
	if err := c.judge(r, response, body); err != nil {
		return answer{}, err
	}
	return answer{body, response.Header.Get("Server")}, nil
}

// ask sends a request and decodes the answer. It also returns the answer unchanged.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body, into any) (json.RawMessage, error) {
	raw, err := c.call(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	if into != nil && json.Unmarshal(raw, into) != nil {
		return nil, c.unexpected(method + " /_matrix/client" + path)
	}
	return raw, nil
}

func (c *Client) unexpected(request string) error {
	return &Error{text: fmt.Sprintf("the answer of %s to %s does not have the form that the specification of Matrix gives it", c.Address(), request)}
}
