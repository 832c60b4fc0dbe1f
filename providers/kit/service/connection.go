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
// It is proven when the limit of its requests is known. With HTTP/1.1, that is one, from the start. With HTTP/2, the server announces its
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
	// known means that the limit of its requests is known.
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
// net/http's count, a connection that ended before its first request still has slots, which would only fail.
func (conn *connection) free() bool {
	if conn.leaving || conn.Err() != nil || (conn.load > 0 && !conn.proven()) {
		return false
	}
	_, limit, _ := conn.count()
	return conn.load < limit
}

// proven reports whether the connection's limit is known. The lock is held.
func (conn *connection) proven() bool {
	if !conn.known {
		_, _, conn.known = conn.count()
	}
	return conn.known
}

// limit returns how many requests the server allows on the connection at the same time; 0 if that is not known now.
func (conn *connection) limit() int {
	available, limit, known := conn.count()
	if available == 0 || !known { // a connection that has ended has no free slot either
		return 0
	}
	return limit
}

// count returns how many more requests the connection can take now, and how many in total. known reports whether the server announced
// that limit. It does not need the lock.
func (conn *connection) count() (available, limit int, known bool) {
	var inFlight int
	for range 8 { // until no stream began or ended between net/http's two counts
		inFlight = conn.InFlight()
		available = conn.Available()
		if conn.InFlight() == inFlight {
			break
		}
	}
	limit = available + inFlight
	answers := conn.answers.Load()
	return available, limit, conn.http1 || available > assumedStreams || answers > 1 || (answers > 0 && limit > 1)
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

// proofIsLate has another connection made if requests are in line.
func (c *connections) proofIsLate(conn *connection) {
	c.mu.Lock()
	conn.late = conn.proof != nil
	c.mu.Unlock()
	c.advance()
}

// changed is called when a connection ended, has more free slots, or was answered on.
func (c *connections) changed(conn *connection) {
	if n := conn.limit(); n > 0 {
		c.granted.Store(int64(n))
	}
	if c.wanted.Load() {
		c.advance()
	}
}
