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
	tried chan struct{}      // closed when the stream is open, or could not be opened at the first attempt
	ended chan struct{}      // closed when the stream has ended
}

// defaultGrace is how long the pushes in hand may take at the end if Caddy has no grace period.
const defaultGrace = 30 * time.Second

// connect returns the connection of a service's component. If there is none yet, it does nothing until use is called.
func connect(s *service) *connection {
	c, _, _ := pool.LoadOrNew(s.address, func() (caddy.Destructor, error) {
		c := &connection{address: s.address, status: telemetry.NewComponent(s.jid), tried: make(chan struct{}), ended: make(chan struct{})}
		c.pushes = coalesce.New(c.coalescing(s.window))
		return c, nil // so LoadOrNew does not fail
	})
	return c.(*connection)
}

// coalescing says how pushes are coalesced.
func (c *connection) coalescing(window time.Duration) coalesce.Options[push, gateway.Result] {
	return coalesce.Options[push, gateway.Result]{Window: window, Deliver: c.deliver, Final: final, AtOnce: call, Busy: gateway.Unavailable}
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
		JID: c.address.jid, Server: c.address.server, Secret: func() (string, error) { return c.address.secret, nil }, Handler: c,
		Observer: &firstAttempt{Component: c.status, over: sync.OnceFunc(func() { close(c.tried) })},
		Grace:    time.Second, // what takes longer is in pushes
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

// firstAttempt shows operators the state of a stream, and notes when the first attempt to open it is over.
type firstAttempt struct {
	*telemetry.Component
	over func()
}

func (f *firstAttempt) Up() {
	f.Component.Up()
	f.over()
}

func (f *firstAttempt) Down(why component.Failure) {
	f.Component.Down(why)
	f.over()
}

// disconnect ends a service's use of a connection. If no other service uses it, the stream ends.
func disconnect(c *connection, s *service, grace time.Duration) {
	c.mu.Lock()
	c.services = slices.DeleteFunc(c.services, func(other *service) bool { return other == s })
	n := len(c.services)
	if n > 0 {
		c.current.Store(c.services[n-1])
		c.pushes.SetWindow(c.services[n-1].window)
	}
	c.mu.Unlock()
	if n == 0 {
		c.awaitSuccessor()
	}
	c.grace.Store(int64(grace))
	_, _ = pool.Delete(c.address) // Destruct does not fail
}

// takeover is how long a stream stays for the one of the next configuration, which has another secret or server.
const takeover = 2 * time.Second

// awaitSuccessor waits for the first attempt of the next configuration to open a stream for the same component. While ejabberd has no stream
// for a component, it deletes each registration that it has a push for. Prosody refuses a second stream, so the first one must end.
func (c *connection) awaitSuccessor() {
	var next *connection
	pool.Range(func(_, other any) bool {
		if o := other.(*connection); o != c && o.address.jid == c.address.jid {
			next = o
		}
		return next == nil
	})
	if next == nil {
		return
	}
	late := time.NewTimer(takeover)
	defer late.Stop()
	select {
	case <-next.tried:
	case <-late.C:
	}
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
