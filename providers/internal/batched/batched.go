// Package batched sends in one batch what several requests write to a connection.
package batched

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	// maxWaiting is how many bytes wait for the network before Write waits, too.
	maxWaiting = 64 << 10
	// writeTimeout is how long the network may accept nothing before writing fails.
	writeTimeout = 10 * time.Second
	// readTimeout is how long answers are still read after writing failed.
	readTimeout = time.Second
	// closeTimeout is how long Close waits until everything is sent.
	closeTimeout = time.Second
)

// DialFunc makes a connection, as a [net.Dialer] does.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Dial returns a dial function that makes batched connections.
//
// With HTTP/2, net/http writes at least twice for each request. To send that in batches saves 3 to 6 % of a push's CPU time, and shortens the
// latency's 99th percentile when the CPUs are full.
func Dial(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return New(c), nil
	}
}

// conn is a connection whose Write does not wait for the network. What is written meanwhile is sent in the next batch, by a goroutine that
// runs only while there is something to send.
//
// If that fails, the connection is over: Write returns the error, and so does Read after readTimeout at the latest, so every request on it
// ends. Write may have returned before. For a request, that is like a network that loses what it has accepted.
type conn struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond     // that a batch was sent, or that sending has ended
	waiting *bytes.Buffer // nil if nothing is waiting
	sending bool
	closed  bool
	err     error // why sending failed
}

// New returns a connection that sends in batches on another one.
func New(on net.Conn) net.Conn {
	c := &conn{Conn: on}
	c.changed.L = &c.mu
	return c
}

// buffers has empty buffers for the next batches.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Write waits only while too much is waiting already, and until sending fails at most.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && !c.closed && c.waiting != nil && c.waiting.Len() >= maxWaiting {
		c.changed.Wait()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	if c.waiting == nil {
		c.waiting = buffers.Get().(*bytes.Buffer)
	}
	if !c.sending {
		c.sending = true
		go c.send()
	}
	return c.waiting.Write(p)
}

// send sends until nothing is waiting. The requests that are ready to write do that first.
func (c *conn) send() {
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.waiting != nil {
		batch := c.waiting
		c.waiting = nil
		c.sendBatch(batch)
		if batch.Cap() <= maxWaiting {
			batch.Reset()
			buffers.Put(batch)
		}
	}
	if c.err != nil {
		_ = c.Conn.SetReadDeadline(time.Now().Add(readTimeout))
	}
	c.sending = false
	c.changed.Broadcast()
}

// sendBatch sends a batch, however slowly the network accepts it. The lock is held, except while it waits.
func (c *conn) sendBatch(batch *bytes.Buffer) {
	for c.err == nil && batch.Len() > 0 {
		if !c.closed {
			_ = c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		c.mu.Unlock()
		n, err := c.Conn.Write(batch.Bytes())
		c.mu.Lock()
		batch.Next(n)
		if slow := n > 0 && errors.Is(err, os.ErrDeadlineExceeded); !slow {
			c.err = err
		}
		c.changed.Broadcast()
	}
}

// Read returns the error of sending if there was one, because that is the cause.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err != nil {
			err = c.err
		}
	}
	return n, err
}

// Close sends the last batch, for closeTimeout at most. A second call does not wait.
func (c *conn) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		_ = c.Conn.SetWriteDeadline(time.Now().Add(closeTimeout))
		for c.sending {
			c.changed.Wait()
		}
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// SetDeadline sets the deadline for reading.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing, because each batch has its own deadline.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
