package rejectedtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// soon is the time after which the contexts of calls to a stalled store end.
	soon = 50 * time.Millisecond
	// patience is how much later they may return: the machine may be busy.
	patience = 5 * time.Second
)

// ask is a call to a store.
type ask struct {
	name string
	do   func(ctx context.Context) error
}

// asks returns calls of all kinds; those that change a key change k.
func (f *fixture) asks(k rejected.Key) []ask {
	marks := []rejected.Mark{{Condemned: 1}, {Condemned: 1}}
	all := []ask{
		{"Lookup", func(ctx context.Context) error {
			err := f.s.Lookup(ctx, []rejected.Key{keyA, k}, marks)
			if err != nil && (marks[0] != rejected.Mark{} || marks[1] != rejected.Mark{}) {
				f.Errorf("marks %+v together with an error", marks)
			}
			return err
		}},
		{"Reject", func(ctx context.Context) error { return f.s.Reject(ctx, k, f.verdict(ts(0))) }},
		{"Suspect", func(ctx context.Context) error {
			s, err := f.s.Suspect(ctx, k, f.look())
			if err != nil && s.Suspected() {
				f.Errorf("%+v together with an error", s)
			}
			return err
		}},
		{"Acquit", func(ctx context.Context) error { return f.s.Acquit(ctx, keyB) }},
		{"Forget", func(ctx context.Context) error { return f.s.Forget(ctx, k) }},
		{"Get", func(ctx context.Context) error {
			if _, err := f.s.Get(ctx, k); !errors.Is(err, rejected.ErrNotFound) {
				return err
			}
			return nil
		}},
	}
	if l, ok := f.s.(rejected.Lister); ok {
		all = append(all, ask{"List", func(ctx context.Context) error { _, _, err := l.List(ctx, rejected.Query{}); return err }})
	}
	if m, ok := f.s.(rejected.Migrator); ok {
		all = append(all,
			ask{"Migrated", func(ctx context.Context) error { _, err := m.Migrated(ctx, "a change"); return err }},
			ask{"NoteMigrated", func(ctx context.Context) error { return m.NoteMigrated(ctx, "a change") }},
		)
	}
	if w, ok := f.s.(rejected.Witness); ok {
		all = append(all,
			ask{"Delivered", func(ctx context.Context) error { return w.Delivered(ctx, keyA, f.clock.Now()) }},
			ask{"LastDelivered", func(ctx context.Context) error { _, err := w.LastDelivered(ctx, keyA); return err }},
		)
	}
	return all
}

// stalled makes calls to a store that keeps them waiting, and then lets it continue.
func stalled(t *testing.T, h Harness) {
	c := newClock()
	s, stall := h.Stalling(t, c.Now)
	f := &fixture{T: t, h: h, s: s, clock: c}
	f.reject(keyA, f.verdict(ts(0)))
	dead := rejected.Record{}.Add(f.verdict(ts(0)))
	f.suspect(keyB)
	goOn := stall()
	for name, start := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), soon) },
		"cancellation": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(soon, cancel)
			return ctx, func() { timer.Stop(); cancel() }
		},
	} {
		for n, a := range f.asks(nth(name, 0)) {
			ctx, cancel := start()
			in, err := ended(ctx, a.do)
			switch {
			case !in:
				goOn()
				t.Fatalf("%s continues after the %s of its context", a.name, name)
			case err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()):
				t.Errorf("%s, call %d: the error after the %s of its context is %v, which does not wrap %v", a.name, n, name, err, ctx.Err())
			}
			cancel()
		}
	}
	goOn()
	fresh := nth("afterwards", 0)
	f.suspect(fresh)
	f.acquit(fresh)
	f.expectGone(fresh)
	f.reject(fresh, f.verdict(ts(0)))
	f.expectMark(fresh, dead)
	f.expectRecord(keyA, dead)
	f.expectMark(keyA, dead)
}

// ended runs a call, and reports whether it ended soon after its context, and with which error.
func ended(ctx context.Context, do func(context.Context) error) (in bool, err error) {
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err := <-done:
		return true, err
	case <-time.After(soon + patience):
		return false, nil
	}
}

// done makes calls with a context that is already done. A store may return without an answer, but must not claim a change that it did not
// make.
func done(t *testing.T, h Harness) {
	f := newFixture(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rejects, suspects := nth("done", 0), nth("done", 1)
	if err := f.s.Reject(ctx, rejects, f.verdict(ts(0))); err == nil {
		f.expect(rejects, ts(0), true)
	}
	if _, err := f.s.Suspect(ctx, suspects, f.look()); err == nil {
		f.expectMark(suspects, rejected.Record{}.Suspect(f.look()))
	}
	f.suspect(keyB)
	if err := f.s.Acquit(ctx, keyB); err == nil {
		f.expectGone(keyB)
	}
	f.reject(keyA, f.verdict(ts(0)))
	for _, a := range f.asks(nth("done", 2)) {
		if in, _ := ended(ctx, a.do); !in {
			t.Errorf("%s continues, but its context was already done", a.name)
		}
	}
	if err := f.s.Forget(ctx, keyA); err == nil {
		f.expectGone(keyA)
	} else {
		f.forget(keyA)
		f.expectGone(keyA)
	}
}
