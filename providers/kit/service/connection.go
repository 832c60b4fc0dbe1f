package service

import (
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// proofTimeout is how long requests in line wait for the first answer on a new connection. After that, another connection is made. It
	// is shorter than the 5 s that a homeserver's request waits by default.
	proofTimeout = 3 * time.Second
	// assumedStreams is the limit that net/http assumes for HTTP/2 until the server has announced its own.
	assumedStreams = 100
)

// connection is one connection. The lock of [connections] guards its fields.
//
// The limit of its requests must be known before it takes more than one. With HTTP/1.1, the limit is one, from the start. With HTTP/2, the server announces its
// limit, and net/http does not report when. So the limit is known if it is larger than the one that net/http assumes, or after an answer.
// For a client with a provider token, APNs announces a limit of one, and raises it after the first answer. So after only one answer, a
// limit of one proves nothing.
type connection struct {
	*http.ClientConn
	http1 bool
	// load is the number of requests that have a slot.
	load int
	// answers is how many requests were answered. It stops at two.
	answers atomic.Int32
	// known means that the limit of its requests is known: free finds that out.
	known bool
	// late means that the first answer did not come within proofTimeout. proof is the timer for that; nil if no answer is awaited.
	late  bool
	proof *time.Timer
	// leaving means that the connection gets no more requests, and is closed after the last one.
	leaving bool
	// idle closes the connection when it is not needed for a while.
	idle *time.Timer
}

// free reports whether the connection has a free slot. A request that has a slot and has not opened its stream yet is not in flight. By
// net/http's count, a connection that ended before its first request still has slots, which would only fail. The lock is held.
func (conn *connection) free() bool {
	if conn.leaving || conn.Err() != nil {
		return false
	}
	n := conn.count(100)
	conn.known = conn.known || conn.knows(n)
	return conn.load < n.limit && (conn.load == 0 || conn.known)
}

// count is how many more requests a connection takes now, and how many in total. It is steady if no stream began or ended meanwhile, which
// makes the limit wrong.
type count struct {
	available, limit int
	steady           bool
}

// count does not need the lock. It counts again until the count is steady, but not more often than it may. If the lock is held, few streams
// can begin meanwhile.
func (conn *connection) count(most int) (n count) {
	for range most {
		inFlight := conn.InFlight()
		n.available = conn.Available()
		n.limit = n.available + inFlight
		if n.steady = conn.InFlight() == inFlight; n.steady {
			break
		}
	}
	return n
}

// knows reports whether the count's limit is the server's. It does not need the lock.
func (conn *connection) knows(n count) bool {
	answers := conn.answers.Load()
	return conn.http1 || n.available > assumedStreams || answers > 1 || (answers > 0 && n.steady && n.limit > 1)
}

// limit returns how many requests the server allows on the connection at the same time; 0 if that is not known now. It is called each time
// a stream ends, so it counts only once. It does not need the lock.
func (conn *connection) limit() int {
	n := conn.count(1)
	if n.available == 0 || !n.steady || !conn.knows(n) { // a connection that has ended has no free slot either
		return 0
	}
	return n.limit
}

// stopProof stops waiting for the first answer. The lock is held.
func (conn *connection) stopProof() {
	if conn.proof != nil {
		conn.proof.Stop()
		conn.proof = nil
	}
}

// confirm counts an answer on a connection.
func (c *connections) confirm(conn *connection) {
	if conn.answers.Load() > 1 {
		return
	}
	c.mu.Lock()
	conn.answers.Store(min(2, conn.answers.Load()+1))
	conn.stopProof()
	c.mu.Unlock()
	c.changed(conn) // the request may have left the connection before its answer was counted
}

// proofIsLate has another connection made if requests are in line, and if the first answer is still awaited.
func (c *connections) proofIsLate(conn *connection, awaited func() bool) {
	c.mu.Lock()
	conn.late = conn.late || awaited()
	c.mu.Unlock()
	c.advance()
}

// changed is called when a connection ended, has more free slots, or was answered on.
func (c *connections) changed(conn *connection) {
	if n := int64(conn.limit()); n > 0 && n != c.granted.Load() {
		c.granted.Store(n)
	}
	if c.wanted.Load() {
		c.advance()
	}
}
