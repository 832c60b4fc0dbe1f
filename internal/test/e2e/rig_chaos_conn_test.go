package e2e

import (
	"errors"
	"net"
	"sync"
	"time"
)

var errBroken = errors.New("the connection is broken")

// brittle is a TCP connection from the gateway that stalls and breaks according to its plan. It reads ahead, so it notices at once that the
// gateway has closed it. What is written after that never arrives.
type brittle struct {
	*net.TCPConn
	plan *plan
	// calm is closed when the faults of connections must end.
	calm <-chan struct{}
	// befell is called when the planned fault happens.
	befell func()

	gone chan struct{} // closed when either side has closed the connection
	once sync.Once

	mu      sync.Mutex
	ahead   []byte        // read ahead
	changed chan struct{} // closed and replaced when more bytes arrive, or when no more can arrive
	read    int           // bytes that were returned to the reader
	written int
	over    bool // whether the stall has happened
	silent  bool // nothing is transmitted in either direction until the connection is broken
}

func newBrittle(conn *net.TCPConn, p *plan, calm <-chan struct{}, befell func()) *brittle {
	b := &brittle{TCPConn: conn, plan: p, calm: calm, befell: befell, gone: make(chan struct{}), changed: make(chan struct{})}
	go b.readAhead()
	return b
}

func (b *brittle) readAhead() {
	buffer := make([]byte, 4096)
	for {
		n, err := b.TCPConn.Read(buffer)
		b.mu.Lock()
		b.ahead = append(b.ahead, buffer[:n]...)
		close(b.changed)
		b.changed = make(chan struct{})
		b.mu.Unlock()
		if err != nil {
			b.leave()
			return
		}
	}
}

func (b *brittle) leave() { b.once.Do(func() { close(b.gone) }) }

func (b *brittle) Read(p []byte) (int, error) {
	for {
		b.mu.Lock()
		n := copy(p, b.ahead[:min(len(b.ahead), b.left(false, b.read))])
		b.ahead = b.ahead[n:]
		b.read += n
		stalled, changed, silent := b.left(false, b.read) == 0, b.changed, b.silent
		b.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case silent:
			<-b.gone
			return 0, errBroken
		case stalled:
			if err := b.stall(); err != nil {
				return 0, err
			}
			continue
		}
		select {
		case <-changed:
		case <-b.gone:
			b.mu.Lock()
			rest := len(b.ahead)
			b.mu.Unlock()
			if rest == 0 {
				return 0, net.ErrClosed
			}
		}
	}
}

func (b *brittle) Write(p []byte) (written int, err error) {
	for written < len(p) {
		b.mu.Lock()
		n := min(len(p)-written, b.left(true, b.written))
		silent := b.silent
		b.mu.Unlock()
		select {
		case <-b.gone:
			return written, errBroken
		default:
		}
		switch {
		case silent:
			<-b.gone
			continue
		case n == 0:
			if err := b.stall(); err != nil {
				return written, err
			}
			continue
		}
		n, err := b.TCPConn.Write(p[written : written+n])
		written += n
		b.mu.Lock()
		b.written += n
		b.mu.Unlock()
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// left returns how many bytes may go in one direction before the stall. The lock must be held.
func (b *brittle) left(down bool, gone int) int {
	const all = 1 << 30
	if !b.plan.stalls || b.plan.down != down || b.over {
		return all
	}
	return max(0, b.plan.at-gone)
}

// stall makes the planned stall. After it, the connection goes on or is broken.
func (b *brittle) stall() error {
	b.befell()
	if b.plan.breaks {
		b.breakAfter(b.plan.pause)
		return errBroken
	}
	b.wait(b.plan.pause)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return nil
}

func (b *brittle) wait(pause time.Duration) {
	select {
	case <-time.After(pause):
	case <-b.gone:
	case <-b.calm:
	}
}

// linger is like wait, but waits even when calm is closed.
func (b *brittle) linger(pause time.Duration) {
	select {
	case <-time.After(pause):
	case <-b.gone:
	}
}

// breakAfter breaks the connection after a pause in which nothing is transmitted. What was sent before has arrived by then.
func (b *brittle) breakAfter(pause time.Duration) {
	b.mu.Lock()
	b.silent = true
	b.mu.Unlock()
	b.wait(pause)
	b.linger(300 * time.Millisecond)
	_ = b.SetLinger(0)
	_ = b.Close()
}

func (b *brittle) Close() error {
	err := b.TCPConn.Close()
	b.leave()
	return err
}

// crypto/tls calls SetDeadline and the like at the end of a connection. They do nothing here.
func (b *brittle) SetDeadline(time.Time) error      { return nil }
func (b *brittle) SetReadDeadline(time.Time) error  { return nil }
func (b *brittle) SetWriteDeadline(time.Time) error { return nil }

// part ends the connection in an orderly way: the gateway reads what was written, and closes.
func (b *brittle) part() {
	_ = b.CloseWrite()
	b.linger(2 * time.Second)
	_ = b.Close()
}
