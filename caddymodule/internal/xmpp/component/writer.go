package component

import (
	"errors"
	"net"
	"sync"
	"time"
)

// maxQueue is how many bytes of answers may wait to be written. An answer to a push has about 300.
const maxQueue = 1 << 20

// queue has the stanzas that are not written yet.
type queue struct {
	mu      sync.Mutex
	pending []byte
	ended   bool
	wake    chan struct{} // has a value if there is something new
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// add adds a stanza, unless the stream has ended or too much is waiting.
func (q *queue) add(stanza []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return ErrOffline
	}
	if len(q.pending)+len(stanza) > maxQueue {
		return ErrFull
	}
	q.pending = append(q.pending, stanza...)
	q.signal()
	return nil
}

// end adds the last bytes of the stream. Nothing can be added after them.
func (q *queue) end(last string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended = true
		q.pending = append(q.pending, last...)
		q.signal()
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take empties the queue. It reports whether these are the last bytes.
func (q *queue) take() (pending []byte, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	pending, q.pending = q.pending, nil
	return pending, q.ended
}

// write writes what is in the queue until it ends. Then it closes its half of the connection.
func (s *stream) write() error {
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	for last := false; !last; {
		var pending []byte
		select {
		case <-s.queue.wake:
			pending, last = s.queue.take()
		case <-ticker.C:
			pending = []byte(" ")
		}
		if len(pending) == 0 {
			continue
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := s.conn.Write(pending); err != nil {
			return err
		}
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}
