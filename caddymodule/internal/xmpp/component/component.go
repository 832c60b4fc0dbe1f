package component

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// Namespace is the namespace of a component's stanzas. The stream's header declares it, so the stanzas themselves don't.
const Namespace = "jabber:component:accept"

const (
	defaultMaxStanza = 64 << 10
	defaultMaxWork   = 512
	defaultGrace     = 30 * time.Second
)

// ErrOffline means that a stanza was not sent because its stream has ended.
var ErrOffline = errors.New("component: the stream has ended")

// ErrFull means that a stanza was not sent because the server reads too slowly.
var ErrFull = errors.New("component: too many stanzas are waiting to be written")

// Reply sends a stanza on the stream that a request came from. It never waits. After the stream has ended, it returns [ErrOffline].
//
// The server would end the stream because of a stanza with a fault. So a stanza is sent only if it is well-formed, has a from in the
// component's domain, and has a to.
type Reply func(stanza []byte) error

// Handler handles stanzas. A stanza is the element as the server sent it. Its default namespace is [Namespace].
type Handler interface {
	// Handle handles a stanza in a separate goroutine. It must return soon after its context is done. It may call reply at any time,
	// also after it has returned.
	Handle(ctx context.Context, stanza []byte, reply Reply)
	// Refuse is called in place of Handle while too many stanzas are being handled, and while the component ends. The reader waits for
	// it, so it must return at once.
	Refuse(stanza []byte, reply Reply)
}

// Observer is called when something happens to a component. Its methods must return at once.
type Observer interface {
	// Up is called when the server has accepted the handshake.
	Up()
	// Down is called when a stream has ended, or when no stream could be opened.
	Down(Failure)
	// Ignored is called for an element that is not handed to the handler: [TooLarge], [TooDeep], [Malformed] or [NotStanza].
	Ignored(reason string)
}

// Options describe a component.
type Options struct {
	// JID is the component's domain, in the form in which the server knows it.
	JID string
	// Server is the host and port where the server accepts components.
	Server string
	// TLS makes the component connect with TLS. XEP-0114 itself has no TLS, so a proxy in front of the server must end it.
	TLS *tls.Config
	// Secret returns the secret that the component shares with the server. It is called for each handshake.
	Secret func() (string, error)

	Handler  Handler
	Observer Observer

	// Grace is how long the work in hand may take after Run's context is done. The default is 30 s.
	Grace time.Duration
	// MaxStanza is the largest size of a stanza in bytes. Larger ones are ignored. The default is 64 KiB.
	MaxStanza int
	// MaxWork is how many stanzas are handled at the same time. The default is 512.
	MaxWork int

	dial   func(context.Context) (net.Conn, error)
	jitter func() float64 // between 0 and 1
}

// Component keeps a stream to an XMPP server open.
type Component struct {
	options Options
	work    *work
	backoff backoff
	told    complaints
}

// New returns a component, which does nothing until Run is called.
func New(o Options) *Component {
	o.JID = strings.ToLower(o.JID)
	if o.MaxStanza == 0 {
		o.MaxStanza = defaultMaxStanza
	}
	if o.MaxWork == 0 {
		o.MaxWork = defaultMaxWork
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.jitter == nil {
		o.jitter = rand.Float64
	}
	c := &Component{options: o, work: newWork(o.MaxWork), told: make(complaints)}
	if o.dial == nil {
		c.options.dial = func(ctx context.Context) (net.Conn, error) { return dial(ctx, o.Server, o.TLS) }
	}
	return c
}

// Run connects to the server, and connects again whenever the stream ends, until the context is done. Then it refuses further stanzas,
// waits for the work in hand, and closes the stream. When it returns, no goroutine of the component is left. Run may be called only once.
func (c *Component) Run(ctx context.Context) {
	defer c.work.drain(c.options.Grace)
	for {
		began := time.Now()
		online, err := c.connect(ctx)
		if ctx.Err() != nil {
			if online {
				c.options.Observer.Down(Failure{Reason: Stopped, Online: true})
			}
			return
		}
		failure := failureOf(err)
		failure.Online = online
		failure.Retry = c.backoff.next(failure, time.Since(began), c.options.jitter())
		failure.Log = c.told.mayLog(failure.Reason, time.Now())
		c.options.Observer.Down(failure)
		select {
		case <-ctx.Done():
			return
		case <-time.After(failure.Retry):
		}
	}
}

// connect opens a stream and serves it until it ends. It reports whether the stream was online.
func (c *Component) connect(ctx context.Context) (online bool, err error) {
	conn, err := c.options.dial(ctx)
	if err != nil {
		return false, &failed{reason: Unreachable, err: err}
	}
	defer conn.Close()
	s := newStream(conn, c)
	if err := s.negotiate(ctx); err != nil {
		return false, err
	}
	c.options.Observer.Up()
	return true, s.run(ctx)
}
