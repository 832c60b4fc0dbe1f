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
	// maxConnections limits the connections to one server. APNs allows a thousand requests on each, and treats a client that keeps opening
	// connections as an attacker, https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns.
	maxConnections = 8
	// dialTimeout limits how long it may take to make a connection, including TLS.
	dialTimeout = 5 * time.Second
	// redialAfter is how long to wait after a failed dial before the next one, while another connection serves requests.
	redialAfter = time.Second
)

// connections are the connections to one server. A request takes a slot on the first connection that has a free one. If none has, it
// waits in line. One more connection is made only if those that are coming cannot have room for all requests in line, one at a time. A
// connection that is not needed for a minute is closed, unless it is the last one.
//
// The slots are counted here instead of being reserved on the connection. If the server lowers its limit below the number of reserved
// slots, net/http waits forever (https://github.com/golang/go/issues/70809). If the limit falls below the number of requests that were
// sent, net/http only waits its turn.
//
// A new connection takes only one request until its limit is known: see [connection].
type connections struct {
	dial dialFunc

	// wanted reports whether a change of a connection's state may require something to be done.
	wanted atomic.Bool
	// granted is how many requests the server allows on a connection at the same time; 0 if that is not known yet.
	granted atomic.Int64

	mu        sync.Mutex
	open      []*connection
	waiting   list.List // of *waiter
	dialing   *dialing  // nil if no connection is being made
	notBefore time.Time // of the next dial, while there are connections
	retired   bool
}

// dialing is a connection that is being made.
type dialing struct {
	done  chan struct{} // closed when it was made, or has failed
	err   error         // why it failed
	stale bool          // the client's certificate was renewed meanwhile
}

// waiter is a request in line. It gets a connection on which it has a slot, or the error that prevented one.
type waiter struct {
	turn chan turn
}

type turn struct {
	conn *connection
	err  error
}

// acquire takes a slot, and waits for one if necessary.
func (c *connections) acquire(ctx context.Context) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.waiting.Len() == 0 {
		if conn := c.free(); conn != nil {
			c.take(conn)
			c.mu.Unlock()
			return conn, nil
		}
	}
	w := &waiter{turn: make(chan turn, 1)}
	place := c.waiting.PushBack(w)
	c.wanted.Store(true)
	c.mu.Unlock()
	c.advance() // a slot may have become free before wanted was set

	select {
	case t := <-w.turn:
		return t.conn, t.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.waiting.Remove(place)
	c.mu.Unlock()
	select {
	case t := <-w.turn: // the slot came at the same moment
		if t.err == nil {
			c.release(t.conn)
		}
	default:
	}
	return nil, ctx.Err()
}

// take takes a slot on a connection. The lock is held.
func (c *connections) take(conn *connection) {
	conn.load++
	if conn.load == 1 && !conn.known {
		conn.late = false
		var proof *time.Timer // which another one may replace before its function has the lock
		proof = time.AfterFunc(proofTimeout, func() { c.proofIsLate(conn, func() bool { return conn.proof == proof }) })
		conn.proof = proof
	}
}

// release returns a slot.
func (c *connections) release(conn *connection) {
	c.mu.Lock()
	conn.load--
	unused := conn.load == 0
	over := unused && conn.leaving
	if unused {
		conn.stopProof()
		if conn.http1 || len(c.open) > 1 {
			conn.idle.Reset(spareTimeout)
		}
	}
	c.mu.Unlock()
	if over || c.wanted.Load() {
		c.advance()
	}
}

// abandon stops new requests from using a connection.
func (c *connections) abandon(conn *connection) {
	c.mu.Lock()
	conn.leaving = true
	c.mu.Unlock()
}

// renew makes all later requests use new connections.
func (c *connections) renew() {
	c.mu.Lock()
	for _, conn := range c.open {
		conn.leaving = true
	}
	if c.dialing != nil {
		c.dialing.stale = true
	}
	c.mu.Unlock()
	c.advance()
}

// retire closes each connection as soon as it is idle, from now on. Requests under way continue.
func (c *connections) retire() {
	c.mu.Lock()
	c.retired = true
	c.wanted.Store(true)
	c.mu.Unlock()
	c.advance()
}

// advance does everything that has become possible or necessary.
func (c *connections) advance() {
	c.mu.Lock()
	over := c.prune()
	c.serve()
	c.wanted.Store(c.waiting.Len() > 0 || c.retired)
	c.mu.Unlock()
	for _, conn := range over {
		conn.idle.Stop()
		_ = conn.Close()
	}
}

// prune removes the connections that are no longer of use, and returns them. The lock is held.
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

// serve gives free slots to the requests in line, and makes another connection if those that are coming are not enough. The lock is held.
func (c *connections) serve() {
	for c.waiting.Len() > 0 {
		conn := c.free()
		if conn == nil {
			break
		}
		c.take(conn)
		c.waiting.Remove(c.waiting.Front()).(*waiter).turn <- turn{conn: conn}
	}
	usable := c.usable()
	if c.waiting.Len() == 0 || usable >= maxConnections || c.enough() || (usable > 0 && time.Now().Before(c.notBefore)) {
		return
	}
	c.oneMore()
}

// enough reports whether the connections that are being made, or whose first request shows their limit, may have room for all requests in
// line. As long as no limit of the server is known, one such connection is enough. A connection without a request that is not free takes
// none: its server has said goodbye. The lock is held.
func (c *connections) enough() bool {
	coming := 0
	if c.dialing != nil {
		coming++
	}
	for _, conn := range c.open {
		if conn.load > 0 && !conn.leaving && !conn.late && conn.Err() == nil && !conn.known {
			coming++
		}
	}
	granted := int(c.granted.Load())
	return coming > 0 && (granted == 0 || c.waiting.Len() <= coming*granted)
}

// oneMore returns the connection that is being made, and starts one if necessary. The lock is held.
func (c *connections) oneMore() *dialing {
	if c.dialing == nil {
		c.dialing = &dialing{done: make(chan struct{})}
		go c.connect(c.dialing)
	}
	return c.dialing
}

// ensure waits for a connection, and makes one if there is none. It takes no slot: a new connection has only one, and a request that
// found it taken would make another connection.
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

// free returns a connection with a free slot; nil if there is none. The lock is held.
func (c *connections) free() *connection {
	for _, conn := range c.open {
		if conn.free() {
			return conn
		}
	}
	return nil
}

// usable returns how many connections take requests. The lock is held.
func (c *connections) usable() (n int) {
	for _, conn := range c.open {
		if !conn.leaving && conn.Err() == nil {
			n++
		}
	}
	return n
}

// connect makes a connection. If that fails and there is no other connection, all requests in line get the error.
func (c *connections) connect(this *dialing) {
	defer close(this.done)
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	made, protocol, err := c.dial(ctx)

	c.mu.Lock()
	c.dialing, this.err = nil, err
	var conn *connection
	switch {
	case err == nil:
		conn = &connection{ClientConn: made, http1: protocol != http2, leaving: this.stale}
		conn.idle = time.AfterFunc(spareTimeout, func() { c.endIdle(conn) })
		c.open = append(c.open, conn)
	case c.usable() == 0:
		for c.waiting.Len() > 0 {
			c.waiting.Remove(c.waiting.Front()).(*waiter).turn <- turn{err: err}
		}
	default:
		c.notBefore = time.Now().Add(redialAfter)
		time.AfterFunc(redialAfter, c.advance)
	}
	c.mu.Unlock()
	if err != nil {
		c.advance()
		return
	}
	made.SetStateHook(func(*http.ClientConn) { c.changed(conn) })
	c.changed(conn) // the server may have announced its limit before
}
