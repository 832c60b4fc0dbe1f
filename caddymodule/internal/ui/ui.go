// Package ui serves a page in the browser that shows the gateway and manages it. It asks the admin API, as the other commands do.
//
// The page is for one person at one browser, as long as the command runs. So the server lets in one session only:
//
//   - It listens on 127.0.0.1, and answers only requests whose Host header is exactly its address. Another host name means that a
//     foreign website let its own name point to this machine (DNS rebinding).
//   - The printed URL has a secret path that works once. It is exchanged for a cookie, so it is useless in a history or a log.
//   - All pages are below a secret folder. The cookie is for this folder only, so no other port of 127.0.0.1 gets it.
//   - Every form needs the page's own Origin and a token of the session. So no other website can send one.
//   - The browser may load nothing from elsewhere, and no other page may show this one in a frame.
//
// guard.go has these checks. routes.go lists the addresses. The other files are named after the pages that they fill.
package ui

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

// API is the admin API of a gateway. An answer with a status other than 200 is an [adminclient.Error].
type API interface {
	// Address is the address to show.
	Address() string
	Get(ctx context.Context, path string, query url.Values, into any) ([]byte, error)
	Post(ctx context.Context, path string, body any, within time.Duration, into any) ([]byte, error)
}

var _ API = (*adminclient.Client)(nil)

// Page serves the page.
type Page struct {
	guard
	api   API
	clock describe.Clock
	// patience bounds how long the page waits for the admin API, if no other limit is shorter.
	patience time.Duration
	// historyPatience is the same for the history, which is the least important part.
	historyPatience time.Duration
	render          renderer
	notices         notices
}

// maxWait is how long a request may take: a test push waits for a push service.
const maxWait = adminclient.LongPatience + 15*time.Second

// New returns the page that is served at host, an address and a port.
func New(api API, host string, now func() time.Time) *Page {
	p := &Page{guard: newGuard(host), api: api, clock: now, patience: maxWait, historyPatience: 5 * time.Second}
	p.render = newRenderer(p.token, p.inside)
	p.serve = http.StripPrefix(p.folder, p.routes())
	return p
}

// endTime is how long running requests may take when the page ends.
const endTime = time.Second

// Serve serves the page until the context ends, and closes the listener.
func (p *Page) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      maxWait + 15*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close() // a request that still runs is cut off
		}
	})
	err := server.Serve(l)
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
