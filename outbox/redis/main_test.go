package redis

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/outboxtest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, servers := range storetest.RedisServers {
		t.Run(servers.Name, func(t *testing.T) {
			t.Parallel()
			quick := servers.Name != storetest.OnePrimary && os.Getenv("OUTBOX_LEASES") == ""
			outboxtest.Run(t, harness(servers.Start(t), 0, quick))
		})
	}
}

func TestM11_TheOutboxMayHaveSeveralShards(t *testing.T) {
	t.Parallel()
	outboxtest.Run(t, harness(storetest.RedisServers[0].Start(t), 5, false))
}

// harness connects the suite to a box on a server. Bounds are those of a shard. So in tests of bounds, all devices are in the same one.
func harness(address redisclient.Address, n int, quick bool) outboxtest.Harness {
	shards := address.Shards(n)
	return outboxtest.Harness{
		New: func(t *testing.T, bounds outboxtest.Bounds) outbox.Queue {
			b := &Box{
				Address: address, Prefix: rand.Text(), Shards: shards,
				MaxPerApp: bounds.PerApp * shards, MaxPerDevice: bounds.PerDevice, MaxSize: bounds.Size * int64(shards),
			}
			if b.MaxPerApp > 0 || b.MaxSize > 0 {
				b.route = last
			}
			return opened(t, b)
		},
		Reopen: func(t *testing.T, q outbox.Queue) outbox.Queue {
			old := q.(*Box)
			cleanup(t, old)
			return opened(t, &Box{
				Address: old.Address, Prefix: old.Prefix, Shards: shards, route: old.route,
				MaxPerApp: old.MaxPerApp, MaxPerDevice: old.MaxPerDevice, MaxSize: old.MaxSize,
			})
		},
		Quick: quick,
	}
}

// last puts all devices into the last shard.
func last(_ [16]byte, shards int) int { return shards - 1 }

var boxes = storetest.Fixture[*Box]{After: func(_ testing.TB, b *Box) {
	if b.queue != nil { // a test may leave attempts
		b.queue.LetAllGo()
	}
}}

var (
	tryProvision, provision, opened = boxes.TryProvision, boxes.Provision, boxes.Opened
	open, cleanup                   = storetest.Open, storetest.Cleanup
)

// gateways returns two gateways that share one outbox.
func gateways(t testing.TB, s *redistest.Server) (a, b *Box) {
	t.Helper()
	return opened(t, &Box{Address: at(s.URL), gateway: "a"}), opened(t, &Box{Address: at(s.URL), gateway: "b"})
}

const app = "org.example.app"

func device(name string) [16]byte { return rejected.KeyOf(app, name) }

func entry(dev, id string) outbox.Entry {
	return outbox.Entry{ID: id, App: app, Device: device(dev), PushkeyTS: 1000, Push: []byte(`{}`), Expires: time.Now().Add(time.Hour)}
}

func ref(dev, id string) outbox.Ref { return outbox.Ref{App: app, Device: device(dev), ID: id} }

func accept(t testing.TB, b *Box, entries ...outbox.Entry) {
	t.Helper()
	for _, e := range entries {
		if _, err := b.Accept(context.Background(), e); err != nil {
			t.Fatalf("Accept %s: %v", e.ID, err)
		}
	}
}

func settle(t testing.TB, b *Box, r outbox.Ref) {
	t.Helper()
	if err := b.Settle(context.Background(), r); err != nil {
		t.Errorf("Settle %s: %v", r.ID, err)
	}
}

// leaseIn leases all that is due within a time.
func leaseIn(t testing.TB, b *Box, patience time.Duration) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	leased, err := b.Lease(ctx, app, 100)
	if err != nil && ctx.Err() == nil {
		t.Errorf("Lease: %v", err)
	}
	for i := range leased {
		ids = append(ids, leased[i].ID)
	}
	return ids
}

// drain leases and settles all that is due, and returns the IDs. On a busy machine, it may take a while until all shards have answered.
func drain(t testing.TB, b *Box) (ids []string) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
		leased, err := b.Lease(ctx, app, 100)
		cancel()
		if err != nil {
			return ids
		}
		for i := range leased {
			ids = append(ids, leased[i].ID)
			settle(t, b, leased[i].Ref())
		}
	}
}

// logBuffer is a log that tests can read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// tryAccept accepts an entry that displaces none.
func tryAccept(ctx context.Context, b *Box, e outbox.Entry) error {
	_, err := b.Accept(ctx, e)
	return err
}

func at(url string) redisclient.Address { return redisclient.Address{URL: url} }
