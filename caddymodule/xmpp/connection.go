package xmpp

import (
	"context"
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/coalesce"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/component"
)

// pool keeps the connections as long as any configuration uses them.
var pool = caddy.NewUsagePool()

// address is everything that decides to whom a component connects, and as what.
type address struct {
	jid, server string
	tls         bool
	secret      string
}

// connection is a component's stream, with the pushes that came by it. It outlives configurations.
type connection struct {
	address address
	status  *telemetry.Component
	pushes  *coalesce.Coalescer[push, gateway.Result]
	grace   atomic.Int64 // nanoseconds; 0 for the default

	mu       sync.Mutex
	services []*service // of the configurations that use the connection; the last one is the current one
	current  atomic.Pointer[service]

	stop  context.CancelFunc // nil until the stream is opened
	ended chan struct{}      // closed when the stream has ended
}

// defaultGrace is how long the pushes in hand may take at the end if Caddy has no grace period.
const defaultGrace = 30 * time.Second

// connect returns the connection of a service's component. If there is none yet, it does nothing until use is called.
func connect(s *service) (*connection, error) {
	c, _, err := pool.LoadOrNew(s.address, func() (caddy.Destructor, error) {
		c := &connection{address: s.address, status: telemetry.NewComponent(s.jid), ended: make(chan struct{})}
		c.pushes = coalesce.New(coalesce.Options[push, gateway.Result]{Window: s.window, Deliver: c.deliver, Final: final, Busy: gateway.Unavailable})
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return c.(*connection), nil
}

// final reports whether a verdict leaves the device without a push, so the next one must not be held.
func final(r gateway.Result) bool { return r == gateway.Unavailable || dead(r) }

// use makes a service the current one, and opens the stream if that has not been done.
func (c *connection) use(s *service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.services = append(c.services, s)
	c.current.Store(s)
	c.pushes.SetWindow(s.window)
	if c.stop != nil {
		return
	}
	o := component.Options{
		JID: c.address.jid, Server: c.address.server, Secret: func() (string, error) { return c.address.secret, nil }, Handler: c, Observer: c.status,
		Grace: time.Second, // what takes longer is in pushes
	}
	if c.address.tls {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: hostOf(c.address.server)}
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go func() {
		defer close(c.ended)
		component.New(o).Run(ctx)
	}()
}

// disconnect ends a service's use of a connection. If no other service uses it, the stream ends.
func disconnect(c *connection, s *service, grace time.Duration) {
	c.mu.Lock()
	c.services = slices.DeleteFunc(c.services, func(other *service) bool { return other == s })
	if n := len(c.services); n > 0 {
		c.current.Store(c.services[n-1])
		c.pushes.SetWindow(c.services[n-1].window)
	}
	c.mu.Unlock()
	c.grace.Store(int64(grace))
	_, _ = pool.Delete(c.address) // Destruct does not fail
}

// Destruct answers the pushes in hand, and closes the stream.
func (c *connection) Destruct() error {
	defer c.status.Close()
	grace := time.Duration(c.grace.Load())
	if grace <= 0 {
		grace = defaultGrace
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	c.pushes.Close(ctx)
	c.stop()
	<-c.ended
	return nil
}

// deliver delivers a push by the configuration that is live now.
func (c *connection) deliver(p push) gateway.Result { return c.current.Load().deliver(p) }

// Interface guards
var (
	_ component.Handler = (*connection)(nil)
	_ caddy.Destructor  = (*connection)(nil)
)
