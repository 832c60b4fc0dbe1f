package outboxtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	app, otherApp = "org.example.app*", "org.example.other"

	// moment is how long the suite watches that nothing happens.
	moment = 50 * time.Millisecond
	// later is longer than a moment, and short enough to wait for.
	later = 300 * time.Millisecond
	// patience is how long the suite waits for something that must happen. It is shorter than a lease, so a stalled device is noticed.
	patience = 10 * time.Second
)

// fixture is a queue under test, and the leases that it granted.
type fixture struct {
	*testing.T
	h Harness
	q outbox.Queue

	mu     sync.Mutex
	leases map[outbox.Ref]bool
}

func newFixture(t *testing.T, h Harness, b Bounds) *fixture {
	t.Helper()
	f := &fixture{T: t, h: h, leases: make(map[outbox.Ref]bool)}
	f.renew(b)
	return f
}

// renew starts again with an empty queue of the given bounds.
func (f *fixture) renew(b Bounds) {
	f.Helper()
	f.endLeases()
	f.q = f.h.New(f.T, b)
	f.Cleanup(f.endLeases)
}

func (f *fixture) endLeases() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.leases {
		if err := f.q.Release(context.Background(), r, time.Now(), true); err != nil {
			f.Errorf("Release: %v", err)
		}
	}
	clear(f.leases)
}

func (f *fixture) track(r outbox.Ref, leased bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if leased {
		f.leases[r] = true
	} else {
		delete(f.leases, r)
	}
}

func (f *fixture) reopen() {
	f.Helper()
	f.q = f.h.Reopen(f.T, f.q)
}

func device(name string) [16]byte { return rejected.KeyOf("org.example.app", name) }

// entry returns an alert of a device.
func entry(dev, id string) outbox.Entry {
	return outbox.Entry{
		ID: id, App: app, Device: device(dev), PushkeyTS: 1000, Push: []byte(`{"id":"` + id + `"}`),
		Accepted: time.Now(), Expires: time.Now().Add(time.Hour),
	}
}

func badge(dev, id string) outbox.Entry {
	e := entry(dev, id)
	e.Replace = outbox.ReplaceBadge
	return e
}

func ref(dev, id string) outbox.Ref { return outbox.Ref{App: app, Device: device(dev), ID: id} }

func running(e outbox.Entry) outbox.Entry {
	e.Running = true
	return e
}

func (f *fixture) accept(entries ...outbox.Entry) {
	f.Helper()
	for _, e := range entries {
		if _, err := f.q.Accept(f.Context(), e); err != nil {
			f.Fatalf("Accept %s: %v", e.ID, err)
		}
		if e.Running {
			f.track(e.Ref(), true)
		}
	}
}

// refuse expects that there is no room for an entry.
func (f *fixture) refuse(e outbox.Entry) {
	f.Helper()
	if _, err := f.q.Accept(f.Context(), e); !errors.Is(err, outbox.ErrFull) {
		f.Errorf("Accept %s: error %v, want ErrFull", e.ID, err)
	}
}

func (f *fixture) settle(r outbox.Ref) {
	f.Helper()
	if err := f.q.Settle(f.Context(), r); err != nil {
		f.Fatalf("Settle %s: %v", r.ID, err)
	}
	f.track(r, false)
}

func (f *fixture) release(r outbox.Ref, in time.Duration) {
	f.Helper()
	if err := f.q.Release(f.Context(), r, time.Now().Add(in), true); err != nil {
		f.Fatalf("Release %s: %v", r.ID, err)
	}
	f.track(r, false)
}

func (f *fixture) discard(dev string, pushkeyTS int64) {
	f.Helper()
	if err := f.q.Discard(f.Context(), app, device(dev), pushkeyTS); err != nil {
		f.Fatalf("Discard: %v", err)
	}
}

func (f *fixture) rouse() {
	f.Helper()
	if err := f.q.Rouse(f.Context(), app); err != nil {
		f.Fatalf("Rouse: %v", err)
	}
}

// leaseOf leases at most n devices of an app, of which there must be some.
func (f *fixture) leaseOf(app string, n int) []outbox.Leased {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	leased, err := f.q.Lease(ctx, app, n)
	if err != nil {
		f.Fatalf("Lease: %v", err)
	}
	for i := range leased {
		f.track(leased[i].Ref(), true)
	}
	return leased
}

// lease leases all that is due, and expects the entries with the given IDs, in any order.
func (f *fixture) lease(ids ...string) []outbox.Leased {
	f.Helper()
	leased := f.leaseOf(app, 100)
	slices.SortFunc(leased, func(a, b outbox.Leased) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
	got := make([]string, 0, len(leased))
	for i := range leased {
		got = append(got, leased[i].ID)
	}
	if !slices.Equal(got, ids) {
		f.Fatalf("leased %q, want %q", got, ids)
	}
	return leased
}

// leaseOne expects the entry with the given ID, after so many releases in a row.
func (f *fixture) leaseOne(id string, attempts int) outbox.Ref {
	f.Helper()
	l := f.lease(id)[0]
	if l.Attempts != attempts {
		f.Errorf("%s was attempted %d times, want %d", id, l.Attempts, attempts)
	}
	return l.Ref()
}

// nothing expects that nothing is leased for a moment.
func (f *fixture) nothing() {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), moment)
	defer cancel()
	leased, err := f.q.Lease(ctx, app, 100)
	for i := range leased {
		f.track(leased[i].Ref(), true)
		f.Errorf("%s was leased", leased[i].ID)
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("Lease: error %v, want the context's error", err)
	}
}

// drain expects these entries of one device, in order, and nothing else.
func (f *fixture) drain(ids ...string) {
	f.Helper()
	for _, id := range ids {
		f.settle(f.lease(id)[0].Ref())
	}
	f.nothing()
}

func (f *fixture) expectWaiting(app, dev string, want bool) {
	f.Helper()
	got, err := f.q.Waiting(f.Context(), app, device(dev))
	if err != nil || got != want {
		f.Errorf("%s of %s is pending: %v, %v; want %v", dev, app, got, err, want)
	}
	if prompt, ok := f.q.(outbox.Prompt); ok {
		if now, err := prompt.WaitingNow(app, device(dev)); err != nil || now != got {
			f.Errorf("WaitingNow: %v, %v, but Waiting: %v", now, err, got)
		}
	}
}

// expectWhole compares what a queue must keep, with times in milliseconds.
func (f *fixture) expectWhole(got outbox.Leased, want outbox.Entry) {
	f.Helper()
	if got.ID != want.ID || got.App != want.App || got.Device != want.Device || got.Host != want.Host || got.Replace != want.Replace ||
		got.Group != want.Group || got.Standing != want.Standing ||
		got.PushkeyTS != want.PushkeyTS || string(got.Push) != string(want.Push) ||
		got.Accepted.UnixMilli() != want.Accepted.UnixMilli() || got.Expires.UnixMilli() != want.Expires.UnixMilli() {
		f.Errorf("the entry differs\n got %+v\nwant %+v", got.Entry, want)
	}
}
