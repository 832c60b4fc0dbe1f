package file

import (
	"errors"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Changes made at each step of the shard's loading must be known during loading and afterwards.
func TestWhatChangesWhileItsShardIsLoadedCounts(t *testing.T) {
	t.Parallel()
	newer := func(s *Store) rejected.Verdict {
		v := verdict(s)
		v.PushkeyTS = 9000
		return v
	}
	tests := []struct {
		name string
		do   func(t *testing.T, h *held)
		want rejected.Mark
	}{
		{"nothing", func(*testing.T, *held) {}, mark(5)},
		{"a verdict", func(t *testing.T, h *held) {
			if err := h.Reject(t.Context(), key(1), newer(h.Store)); err != nil {
				t.Error(err)
			}
		}, mark(9)},
		{"a verdict that cannot be written", func(t *testing.T, h *held) {
			h.full.Store(true)
			if err := h.Reject(t.Context(), key(1), newer(h.Store)); err == nil {
				t.Error("no error")
			}
			h.full.Store(false)
		}, mark(9)},
		{"it is forgotten", func(t *testing.T, h *held) {
			if err := h.Forget(t.Context(), key(1)); err != nil {
				t.Error(err)
			}
		}, rejected.Mark{}},
		{"it cannot be forgotten", func(t *testing.T, h *held) {
			h.full.Store(true)
			if err := h.Forget(t.Context(), key(1)); err == nil {
				t.Error("no error")
			}
			h.full.Store(false)
		}, mark(5)},
		{"it is forgotten, and rejected for less", func(t *testing.T, h *held) {
			v := verdict(h.Store)
			v.PushkeyTS = 2000
			if err := errors.Join(h.Forget(t.Context(), key(1)), h.Reject(t.Context(), key(1), v)); err != nil {
				t.Error(err)
			}
		}, mark(2)},
		{"a verdict is forgotten", func(t *testing.T, h *held) {
			if err := errors.Join(h.Reject(t.Context(), key(1), newer(h.Store)), h.Forget(t.Context(), key(1))); err != nil {
				t.Error(err)
			}
		}, rejected.Mark{}},
	}
	for _, tt := range tests {
		for name, step := range map[string]step{"before it is read": toRead, "after it was read": toFill} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				t.Parallel()
				c := newTestClock()
				h := openHeld(t, filled(t, 10, c), c)
				at := h.loadTo(step, int(key(1)[0]))
				tt.do(t, h)
				h.expectMark(t, "meanwhile", tt.want)
				close(at.goOn)
				h.loadAll()
				h.expectMark(t, "afterwards", tt.want)
			})
		}
	}
}

func TestAfterLoadingTheIndexHasWhatIsOnDisk(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	h := openHeld(t, filled(t, 1000, c), c)
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for n := i; ; n = (n + 8) % 1500 {
				v := verdict(h.Store)
				v.PushkeyTS = int64(n) * 1000
				err := h.Reject(t.Context(), key(n), v)
				if n%3 == 0 {
					err = errors.Join(err, h.Forget(t.Context(), key(n)))
				}
				if n%5 == 0 {
					_, suspectErr := h.Suspect(t.Context(), key(n), v)
					err = errors.Join(err, suspectErr)
				}
				if n%10 == 0 {
					err = errors.Join(err, h.Acquit(t.Context(), key(n+5)), h.Acquit(t.Context(), key(n)))
				}
				known(t, h.Store, n)
				if err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	h.loadAll()
	close(stop)
	workers.Wait()
	err := h.db.view(func(b *bbolt.Bucket) error {
		return b.ForEach(func(name, value []byte) error {
			k, r, err := entry(name, value)
			if m, _ := h.db.index.peek(k); err != nil || m != r.Mark() {
				t.Errorf("%s: %+v in memory, %+v on disk, %v", k, m, r.Mark(), err)
			}
			return nil
		})
	})
	if n := onDisk(t, h.Store); err != nil || n != h.Len() || n == 0 {
		t.Errorf("%d in memory, %d on disk, %v", h.Len(), n, err)
	}
}
