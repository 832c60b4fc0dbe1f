package providertest

import (
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// everyByte is the environment variable that makes the suite cut connections at every byte. Otherwise, it cuts them at some bytes.
const everyByte = "PROVIDERTEST_EVERY_BYTE"

// someCuts is roughly how many bytes are tried in each direction by default.
const someCuts = 16

// testCuts cuts the connection at one byte after the other, in both directions, including the TLS handshake. If the push service did
// not get the push, it gave no answer. If it did, the provider may or may not have understood its answer.
func (s Suite) testCuts(t *testing.T) {
	t.Parallel()
	for _, verdict := range s.Verdicts {
		switch verdict.Kind {
		case providers.KindRejected, providers.KindSuspected, providers.KindDelivered:
		default:
			continue // other outcomes of half an answer do no harm
		}
		t.Run(verdict.Name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			b := s.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				asked.Add(1)
				Answer{Status: verdict.Status, Header: verdict.Header, Body: verdict.Body}.ServeHTTP(w, r)
			}))
			wire := newCutWire(t, b.server.URL)
			fresh := func() providers.Outcome { // including what a provider requests only once, such as an access token
				b.provider, b.push = b.suite.make(t, b.server, wire.url, b.server.CAFile)
				return b.do(t.Context(), t)
			}
			whole := wire.cut(-1, -1, fresh)
			up, down := wire.counts()
			for at := range cuts(up) {
				wire.check(t, at, -1, whole, asked.Load, fresh)
			}
			for at := range cuts(down) {
				wire.check(t, -1, at, whole, asked.Load, fresh)
			}
		})
	}
}

// cuts returns the bytes after which to cut a connection that carries total bytes.
func cuts(total int64) iter.Seq[int64] {
	step := max(1, total/someCuts)
	if os.Getenv(everyByte) != "" {
		step = 1
	}
	return func(yield func(int64) bool) {
		for at := int64(0); at < total && yield(at); at += step {
		}
	}
}

// check requires that a push whose connection is cut is retried, unless the answer was complete.
func (w *cutWire) check(t *testing.T, up, down int64, whole providers.Outcome, asked func() int64, push func() providers.Outcome) {
	t.Helper()
	var before int64
	o := w.cut(up, down, func() providers.Outcome {
		before = asked()
		return push()
	})
	if o.Kind == providers.KindRetry && o.Cause != providers.CauseNetwork {
		t.Errorf("cut after %d bytes up and %d down, the cause of the outcome %s is %d, want that of the network", up, down, o.Reason, o.Cause)
	}
	if answered := asked() > before; o.Kind != providers.KindRetry && (!answered || o.Kind != whole.Kind) {
		t.Errorf("cut after %d bytes up and %d down (asked: %t), the outcome is %s (%s), want %s", up, down, answered, o.Kind, o.Reason, providers.KindRetry)
	}
}

// cutWire forwards connections to a server, and closes each after a number of bytes.
type cutWire struct {
	url, server string

	mu       sync.Mutex
	up, down int64 // how many bytes a connection may carry; negative for no limit
	passed   [2]*atomic.Int64
	made     int // connections since the last cut
	open     map[net.Conn]bool
}

func newCutWire(t *testing.T, server string) *cutWire {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &cutWire{url: "https://" + listener.Addr().String(), server: u.Host, up: -1, down: -1, open: make(map[net.Conn]bool)}
	w.passed = [2]*atomic.Int64{new(atomic.Int64), new(atomic.Int64)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.hangUp()
		running.Wait()
	})
	return w
}

// cut makes a push on a new connection, which is closed after so many bytes up or down. It repeats a push that only met the end of an
// old connection.
func (w *cutWire) cut(up, down int64, push func() providers.Outcome) (o providers.Outcome) {
	w.hangUp()
	w.mu.Lock()
	w.up, w.down = up, down
	w.made, w.passed = 0, [2]*atomic.Int64{new(atomic.Int64), new(atomic.Int64)}
	w.mu.Unlock()
	for range 10 {
		o = push()
		w.mu.Lock()
		made := w.made
		w.mu.Unlock()
		if made > 0 {
			break
		}
	}
	return o
}

// counts returns how many bytes passed since the last cut.
func (w *cutWire) counts() (up, down int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passed[0].Load(), w.passed[1].Load()
}

// hangUp closes all connections.
func (w *cutWire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.open {
		_ = conn.Close()
	}
}

func (w *cutWire) pass(client net.Conn) {
	server, err := new(net.Dialer).Dial("tcp", w.server)
	if err != nil {
		_ = client.Close()
		return
	}
	w.mu.Lock()
	w.made++
	w.open[client], w.open[server] = true, true
	limits, passed := [2]int64{w.up, w.down}, w.passed
	w.mu.Unlock()
	var both sync.WaitGroup
	for i, way := range [2][2]net.Conn{{server, client}, {client, server}} {
		both.Go(func() {
			var from io.Reader = way[1]
			if limits[i] >= 0 {
				from = io.LimitReader(from, limits[i])
			}
			_, _ = io.Copy(io.MultiWriter(way[0], counter{passed[i]}), from)
			_ = client.Close()
			_ = server.Close()
		})
	}
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, client)
	delete(w.open, server)
}

// counter counts the bytes that are written to it.
type counter struct{ n *atomic.Int64 }

// Write counts the bytes.
func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
