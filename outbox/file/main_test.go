package file

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/outboxtest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		acceptUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	outboxtest.Run(t, outboxtest.Harness{
		New: func(t *testing.T, b outboxtest.Bounds) outbox.Queue {
			return opened(t, &Box{Path: tempPath(t), MaxPerApp: b.PerApp, MaxPerDevice: b.PerDevice, MaxSize: b.Size})
		},
		Reopen: func(t *testing.T, q outbox.Queue) outbox.Queue {
			old := q.(*Box)
			cleanup(t, old)
			return opened(t, &Box{Path: old.Path, MaxPerApp: old.MaxPerApp, MaxPerDevice: old.MaxPerDevice, MaxSize: old.MaxSize})
		},
		FakeTime: true,
	})
}

// tempPath returns a path in a directory that does not exist yet.
func tempPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "matrix_push", "outbox.db")
}

var boxes = storetest.Fixture[*Box]{After: func(t testing.TB, b *Box) {
	if t.Failed() && b.db != nil { // it may have left attempts
		b.db.LetAllGo()
	}
}}

var (
	tryProvision, provision, opened = boxes.TryProvision, boxes.Provision, boxes.Opened
	open, cleanup                   = storetest.Open, storetest.Cleanup
)

const app = "org.example.app"

func deviceOf(name string) [16]byte { return rejected.KeyOf(app, name) }

func entry(dev, id string) outbox.Entry {
	return outbox.Entry{ID: id, App: app, Device: deviceOf(dev), PushkeyTS: 1000, Push: []byte(`{}`), Expires: time.Now().Add(time.Hour)}
}

func ref(dev, id string) outbox.Ref { return outbox.Ref{App: app, Device: deviceOf(dev), ID: id} }

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

// drain leases and settles all that is due, and returns the IDs.
func drain(t testing.TB, b *Box) (ids []string) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
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

func recalled(t testing.TB, b *Box) map[[16]byte]bool {
	t.Helper()
	events := make(map[[16]byte]bool)
	if err := b.Recall(context.Background(), func(event [16]byte) { events[event] = true }); err != nil {
		t.Errorf("Recall: %v", err)
	}
	return events
}

// keys returns how many keys a bucket has on disk.
func keys(t testing.TB, b *Box, bucket []byte) (n int) {
	t.Helper()
	if err := b.db.view(func(tx *bbolt.Tx) error { n = tx.Bucket(bucket).Stats().KeyN; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// update changes the file behind the box's back.
func update(t testing.TB, b *Box, fn func(*bbolt.Tx) error) {
	t.Helper()
	if err := b.db.bolt.Update(fn); err != nil {
		t.Fatal(err)
	}
}

// busy keeps the writer busy until goOn is called: all writes that are submitted meanwhile are one transaction.
func busy(t testing.TB, b *Box) (goOn func()) {
	t.Helper()
	began, release, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- b.db.writer.do(func(*bbolt.Tx) error {
			close(began)
			<-release
			return nil
		})
	}()
	<-began
	goOn = sync.OnceFunc(func() {
		close(release)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(goOn)
	return goOn
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
