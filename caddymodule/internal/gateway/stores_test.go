package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// stallingBox is an outbox that takes a while for each answer, whatever its context is.
type stallingBox struct {
	*memoryBox
	waiting, accept, settle time.Duration
}

func (b *stallingBox) Waiting(ctx context.Context, app string, device [16]byte) (bool, error) {
	time.Sleep(b.waiting)
	return b.memoryBox.Waiting(ctx, app, device)
}

func (b *stallingBox) Accept(ctx context.Context, e outbox.Entry) ([]outbox.Ref, error) {
	time.Sleep(b.accept)
	return b.memoryBox.Accept(ctx, e)
}

func (b *stallingBox) Settle(ctx context.Context, r outbox.Ref) error {
	time.Sleep(b.settle)
	return b.memoryBox.Settle(ctx, r)
}

// stallingStore is a rejected store that takes a while for each answer, whatever its context is.
type stallingStore struct {
	*memoryStore
	lookup, reject, forget time.Duration
}

func (s *stallingStore) LookupNow([]rejected.Key, []rejected.Mark) bool { return false }

func (s *stallingStore) Lookup(ctx context.Context, keys []rejected.Key, marks []rejected.Mark) error {
	time.Sleep(s.lookup)
	return s.memoryStore.Lookup(ctx, keys, marks)
}

func (s *stallingStore) Reject(ctx context.Context, key rejected.Key, v rejected.Verdict) error {
	time.Sleep(s.reject)
	return s.memoryStore.Reject(ctx, key, v)
}

func (s *stallingStore) Forget(ctx context.Context, key rejected.Key) error {
	time.Sleep(s.forget)
	return s.memoryStore.Forget(ctx, key)
}

// keep replaces the fake rejected store.
func (r *rig) keep(s rejected.Store) { r.Options.Rejected = s }

// From a review, with similar cases: 30 devices were answered after 30 s, and a wait of 200 ms took 3 s.
func TestWaitHoldsWhateverTheStoresDo(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for _, tt := range []struct {
		name  string
		wait  time.Duration
		o     providers.Outcome
		takes time.Duration // the push service
		box   stallingBox
		store stallingStore
		want  string
		most  time.Duration
	}{
		{"each question takes a second", 5 * time.Second, providers.Delivered(), 0, stallingBox{waiting: time.Second}, stallingStore{}, `[]`, time.Second},
		{"no question is ever answered", 5 * time.Second, providers.Delivered(), 0, stallingBox{waiting: hour}, stallingStore{}, `503`, 6 * time.Second},
		{"no question is ever answered, and nobody waits", 0, providers.Delivered(), 0, stallingBox{waiting: hour}, stallingStore{}, `503`, time.Second},
		{"a verdict takes 3 s to record", 200 * time.Millisecond, providers.Rejected("gone"), 0, stallingBox{}, stallingStore{reject: 3 * time.Second}, `503`, 1200 * time.Millisecond},
		{"a verdict is never recorded", 5 * time.Second, providers.Rejected("gone"), 0, stallingBox{}, stallingStore{reject: hour}, `503`, 6 * time.Second},
		{"no lookup is ever answered", 5 * time.Second, providers.Delivered(), 0, stallingBox{}, stallingStore{lookup: hour}, `[]`, time.Second},
		{"no lookup is ever answered, and nobody waits", 0, providers.Delivered(), time.Second, stallingBox{}, stallingStore{lookup: hour}, `[]`, time.Second},
		{"no push is ever accepted", 0, providers.Delivered(), 10 * time.Second, stallingBox{accept: hour}, stallingStore{}, `503`, time.Second},
		{"no push is ever accepted, and one waits", 2 * time.Second, providers.Delivered(), 10 * time.Second, stallingBox{accept: hour}, stallingStore{}, `503`, 3 * time.Second},
		{"no push that failed is ever accepted", 2 * time.Second, providers.Retry("unavailable", 0, nil), 0, stallingBox{accept: hour}, stallingStore{}, `503`, 3 * time.Second},
		{"to settle takes for ever", 0, providers.Delivered(), time.Second, stallingBox{settle: hour}, stallingStore{}, `[]`, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				app := appFor("app", after(tt.takes, tt.o))
				app.Wait = tt.wait
				r := newRig(t, app).withOutbox()
				box, store := tt.box, tt.store
				box.memoryBox, store.memoryStore = r.box, r.store
				r.use(&box)
				r.keep(&store)
				var devices []string
				for i := range 30 {
					devices = append(devices, device(fmt.Sprint("key", i)))
				}
				start := time.Now()
				got := r.notify(event("$e", devices...))
				if took := time.Since(start); took > tt.most {
					t.Errorf("answered after %s, at most %s are allowed", took, tt.most)
				}
				if !strings.HasPrefix(got, tt.want) {
					t.Errorf("answered %s, want %s", got, tt.want)
				}
				time.Sleep(2 * hour) // until everything that hangs has ended
			})
		})
	}
}

func TestAFuseThatWithdrawsManyRecordsHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const dead = 1500
		dying := true
		var mu sync.Mutex
		p := &scripted{script: func(context.Context, *providers.Push) providers.Outcome {
			mu.Lock()
			defer mu.Unlock()
			if dying {
				return providers.Rejected("gone")
			}
			return providers.Delivered()
		}}
		r := fused(t, appFor("app", p))
		r.Fuse.Window = time.Hour
		r.keep(&stallingStore{memoryStore: r.store, forget: time.Second})
		fuse := r.Router.Apps()[0].fuse
		for i := range dead { // known to be alive
			fuse.note(noted{key: rejected.KeyOf("app", fmt.Sprint("key", i))}, r.Fuse, time.Now())
		}
		tripped := false
		for i := 0; !tripped; i++ {
			start := time.Now()
			tripped = r.notify(event("$e", device(fmt.Sprint("key", i)))) == "503 after 1m0s"
			if took := time.Since(start); took > 0 {
				t.Fatalf("request %d took %s", i, took)
			}
		}
		mu.Lock()
		dying = false
		mu.Unlock()
		start := time.Now()
		wantLine(t, r.notify(event("$e", device("another"))), `[]`) // during the withdrawal of thousands
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %s", took)
		}
		r.Shared.Drain(t.Context())
		if took := time.Since(start); took < 5*time.Second {
			t.Errorf("all were withdrawn within %s: the test proves nothing", took)
		}
		if n := len(r.store.records); n != 0 {
			t.Errorf("%d records are left", n)
		}
	})
}

// hangingBox is an outbox that stores entries late. While it hangs, a call ends with its context, but still has its effect when the
// outbox works again. The contract allows that.
type hangingBox struct {
	mu       sync.Mutex
	hangs    chan struct{} // closed while it works
	entries  map[string]outbox.Entry
	settled  map[string]bool
	accepted int
	// refuses means that, while it hangs, every Accept except the first is refused and not kept for later.
	refuses bool
	asked   map[string]bool
}

func newHangingBox() *hangingBox {
	b := &hangingBox{hangs: make(chan struct{}), entries: make(map[string]outbox.Entry), settled: make(map[string]bool)}
	close(b.hangs)
	return b
}

func (b *hangingBox) hang() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hangs = make(chan struct{})
}

func (b *hangingBox) work() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.hangs)
}

func (b *hangingBox) late(ctx context.Context, do func()) error {
	b.mu.Lock()
	hangs := b.hangs
	b.mu.Unlock()
	done := make(chan struct{})
	go func() {
		<-hangs
		b.mu.Lock()
		do()
		b.mu.Unlock()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", outbox.ErrUnsure, ctx.Err())
	}
}

func (b *hangingBox) Accept(ctx context.Context, e outbox.Entry) ([]outbox.Ref, error) {
	if b.refused(e.ID) {
		return nil, errBroken
	}
	return nil, b.late(ctx, func() {
		if !b.settled[e.ID] {
			b.entries[e.ID] = e
			b.accepted++
		}
	})
}

func (b *hangingBox) refused(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked == nil {
		b.asked = make(map[string]bool)
	}
	again := b.asked[id]
	b.asked[id] = true
	select {
	case <-b.hangs:
		return false
	default:
		return again && b.refuses
	}
}

func (b *hangingBox) Settle(ctx context.Context, r outbox.Ref) error {
	return b.late(ctx, func() {
		b.settled[r.ID] = true
		delete(b.entries, r.ID)
	})
}

func (b *hangingBox) Release(ctx context.Context, _ outbox.Ref, _ time.Time, _ bool) error {
	return b.late(ctx, func() {})
}

func (b *hangingBox) Waiting(ctx context.Context, _ string, device [16]byte) (waits bool, err error) {
	err = b.late(ctx, func() {
		for _, e := range b.entries {
			waits = waits || e.Device == device
		}
	})
	return waits, err
}

// pending returns the events that it has.
func (b *hangingBox) pending() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries)
}

func TestAPushThatTheOutboxMayHaveIsNeitherLostNorDeliveredTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		wait      time.Duration
		takes     time.Duration
		o         providers.Outcome
		refuses   bool // the outbox refuses the repeated call
		delivered int  // by the push service
		pending   int  // in the outbox, once it works again
	}{
		{"delivered after the request was answered", 0, 20 * time.Second, providers.Delivered(), false, 1, 0},
		{"failed after the request was answered", 0, 20 * time.Second, providers.Retry("unavailable", 0, nil), false, 0, 1},
		{"failed, and the outbox refuses it when it is asked again", 0, 20 * time.Second, providers.Retry("unavailable", 0, nil), true, 0, 1},
		{"failed before", 5 * time.Second, 0, providers.Retry("unavailable", 0, nil), false, 0, 1},
		{"failed before, and the outbox refuses it when it is asked again", 5 * time.Second, 0, providers.Retry("unavailable", 0, nil), true, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var delivered atomic.Int64
				p := &scripted{script: func(context.Context, *providers.Push) providers.Outcome {
					time.Sleep(tt.takes)
					if tt.o.Kind == providers.KindDelivered {
						delivered.Add(1)
					}
					return tt.o
				}}
				app := appFor("app", p)
				app.Wait = tt.wait
				r := newRig(t, app)
				box := newHangingBox()
				box.refuses = tt.refuses
				r.use(box)
				box.hang()
				if got := r.notify(event("$e", device("key"))); !strings.HasPrefix(got, "503") {
					t.Errorf("answered %s", got)
				}
				for range 20 { // the homeserver sends it again, while the outbox hangs and after
					time.Sleep(5 * time.Second)
					if got := r.notify(event("$e", device("key"))); got != "[]" && !strings.HasPrefix(got, "503") {
						t.Errorf("answered %s", got)
					}
				}
				box.work()
				time.Sleep(maxDoubtPause + time.Second)
				synctest.Wait()
				wantLine(t, r.notify(event("$e", device("key"))), `[]`)
				synctest.Wait()
				if got := int(delivered.Load()); got != tt.delivered || box.pending() != tt.pending || len(p.asked()) != 1 {
					t.Errorf("delivered %d times by %d attempts, and %d are pending", got, len(p.asked()), box.pending())
				}
			})
		})
	}
}

func TestAnOutboxThatHangsIsNotOfferedEverMorePushes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := appFor("app", always(providers.Retry("unavailable", 0, nil)))
		r := newRig(t, app)
		box := newHangingBox()
		r.use(box)
		box.hang()
		const more = 200
		for i := range maxDoubts + more {
			go r.notify(event("$e", device(fmt.Sprint("key", i))))
			if i == maxDoubts-1 {
				time.Sleep(outbox.AskTime + outbox.WriteTime + time.Second)
			}
		}
		time.Sleep(outbox.AskTime + outbox.WriteTime + time.Second)
		box.work()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := box.pending(); n != maxDoubts {
			t.Errorf("%d are pending, want %d", n, maxDoubts)
		}
	})
}
