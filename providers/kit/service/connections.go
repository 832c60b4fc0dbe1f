package service

import (
	"container/list"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxConnections bounds the connections to one server. APNs allows a thousand requests on each, and takes a client that keeps
	// opening connections for an attacker,
	// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns.
	maxConnections = 8
	// dialTimeout bounds a connection's making, TLS included.
	dialTimeout = 5 * time.Second
	// redialAfter keeps a dial that failed from being repeated for each request, as long as another connection serves them.
	redialAfter = time.Second
)

// connections are the connections to one server. A request takes a slot on the first one that has any; if none has, it waits in
// line while one more connection is made, one at a time.
//
// The slots are counted here and not reserved on the connection: net/http waits for ever if the server lowers its limit below what
// is reserved (https://github.com/golang/go/issues/70809), and merely waits its turn if it is below what is sent.
//
// A connection takes one request until it has answered one. By then its limit is known; and APNs takes no more before it has seen a
// valid provider token.
type connections struct {
	dial dialFunc

	// wanted says that a change of a connection's state matters to somebody.
	wanted atomic.Bool

	mu        sync.Mutex
	open      []*connection
	waiting   list.List // of *waiter
	dialing   *dialing  // nil if no connection is being made
	notBefore time.Time // of the next dial, while there are connections
	retired   bool
}

type connection struct {
	*http.ClientConn
	// load counts the requests that have a slot.
	load int
	// confirmed says that the server answered on it.
	confirmed bool
	// leaving says that the connection gets no more requests, and is closed after the last one.
	leaving bool
	// idle ends a connection that has had no request for a while; nil if net/http does.
	idle *time.Timer
}

// dialing is a connection that is being made.
type dialing struct {
	done chan struct{} // closed when it is made, or cannot be
	err  error         // why it cannot
}

// waiter is a request in line. It gets a connection with a slot taken for it, or the error that kept one from being made.
type waiter struct {
	turn chan turn
}

type turn struct {
	conn *connection
	err  error
}

// acquire takes a slot.
func (c *connections) acquire(ctx context.Context) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.waiting.Len() == 0 {
		if conn := c.free(); conn != nil {
			conn.load++
			c.mu.Unlock()
			return conn, nil
		}
	}
	w := &waiter{turn: make(chan turn, 1)}
	place := c.waiting.PushBack(w)
	c.wanted.Store(true)
	c.mu.Unlock()
	c.advance() // a slot may have become free before the wish for one was known

	select {
	case t := <-w.turn:
		return t.conn, t.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.waiting.Remove(place)
	c.mu.Unlock()
	select {
	case t := <-w.turn: // it came at the same moment
		if t.err == nil {
			c.release(t.conn)
		}
	default:
	}
	return nil, ctx.Err()
}

// release gives a slot back.
func (c *connections) release(conn *connection) {
	c.mu.Lock()
	conn.load--
	unused := conn.load == 0
	over := unused && conn.leaving
	if unused && conn.idle != nil {
		conn.idle.Reset(idleTimeoutHTTP1)
	}
	c.mu.Unlock()
	if over || c.wanted.Load() {
		c.advance()
	}
}

// confirm opens a connection for more than one request.
func (c *connections) confirm(conn *connection) {
	c.mu.Lock()
	first := !conn.confirmed
	conn.confirmed = true
	c.mu.Unlock()
	if first && c.wanted.Load() {
		c.advance()
	}
}

// abandon keeps further requests off a connection.
func (c *connections) abandon(conn *connection) {
	c.mu.Lock()
	conn.leaving = true
	c.mu.Unlock()
}

// renew makes new connections for all requests to come.
func (c *connections) renew() {
	c.mu.Lock()
	for _, conn := range c.open {
		conn.leaving = true
	}
	c.mu.Unlock()
	c.advance()
}

// retire closes each connection as soon as it is idle, from now on. Requests still under way go on.
func (c *connections) retire() {
	c.mu.Lock()
	c.retired = true
	c.wanted.Store(true)
	c.mu.Unlock()
	c.advance()
}

// advance does whatever has become possible or necessary.
func (c *connections) advance() {
	c.mu.Lock()
	over := c.prune()
	c.serve()
	c.wanted.Store(c.waiting.Len() > 0 || c.retired)
	c.mu.Unlock()
	for _, conn := range over {
		if conn.idle != nil {
			conn.idle.Stop()
		}
		_ = conn.Close()
	}
}

// prune forgets the connections that are of no use any more, and returns them. The lock is held.
func (c *connections) prune() (over []*connection) {
	kept := c.open[:0]
	for _, conn := range c.open {
		idle := conn.load == 0 && c.waiting.Len() == 0
		if conn.Err() != nil || (conn.leaving && conn.load == 0) || (c.retired && idle) {
			over = append(over, conn)
		} else {
			kept = append(kept, conn)
		}
	}
	clear(c.open[len(kept):])
	c.open = kept
	return over
}

// serve lets those in line have what there is, and makes another connection if that is not enough. The lock is held.
func (c *connections) serve() {
	for c.waiting.Len() > 0 {
		conn := c.free()
		if conn == nil {
			break
		}
		conn.load++
		c.waiting.Remove(c.waiting.Front()).(*waiter).turn <- turn{conn: conn}
	}
	usable := c.usable()
	if c.waiting.Len() == 0 || usable >= maxConnections || (usable > 0 && time.Now().Before(c.notBefore)) {
		return
	}
	c.oneMore()
}

// oneMore is the connection that is being made, from now on if none was. The lock is held.
func (c *connections) oneMore() *dialing {
	if c.dialing == nil {
		c.dialing = &dialing{done: make(chan struct{})}
		go c.connect(c.dialing)
	}
	return c.dialing
}

// ensure waits for a connection, which it has made if there is none. It takes no slot: a new connection has but one, and a request that
// found that taken would have another connection made.
func (c *connections) ensure(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.usable() > 0 {
		c.mu.Unlock()
		return nil
	}
	made := c.oneMore()
	c.mu.Unlock()
	select {
	case <-made.done:
		return made.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// free is a connection with a free slot; nil if there is none. What has a slot and has not got around to opening its stream is not
// in flight yet. One that ended before its first request has slots by net/http's count, to fail whoever takes one. The lock is held.
func (c *connections) free() *connection {
	for _, conn := range c.open {
		switch {
		case conn.leaving, !conn.confirmed && conn.load > 0, conn.Err() != nil:
		case conn.Available() > conn.load-conn.InFlight():
			return conn
		}
	}
	return nil
}

// usable counts the connections that take requests. The lock is held.
func (c *connections) usable() (n int) {
	for _, conn := range c.open {
		if !conn.leaving && conn.Err() == nil {
			n++
		}
	}
	return n
}

// connect makes a connection. If it cannot and there is no other, those in line learn why.
func (c *connections) connect(this *dialing) {
	defer close(this.done)
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	made, protocol, err := c.dial(ctx)

	c.mu.Lock()
	c.dialing, this.err = nil, err
	switch {
	case err == nil:
		conn := &connection{ClientConn: made}
		if protocol != http2 {
			conn.idle = time.AfterFunc(idleTimeoutHTTP1, func() { c.endIdle(conn) })
		}
		c.open = append(c.open, conn)
	case c.usable() == 0:
		for c.waiting.Len() > 0 {
			c.waiting.Remove(c.waiting.Front()).(*waiter).turn <- turn{err: err}
		}
	default:
		c.notBefore = time.Now().Add(redialAfter)
	}
	c.mu.Unlock()
	if err == nil {
		made.SetStateHook(func(*http.ClientConn) {
			if c.wanted.Load() {
				c.advance()
			}
		})
	}
	c.advance()
}
