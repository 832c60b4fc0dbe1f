package rejectedtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// operate does the nth operation of a worker.
func operate(f *fixture, worker, n int) error {
	ctx := context.Background()
	key := []rejected.Key{keyA, keyB, keyC}[(worker+n)%3]
	switch (worker + n) % 8 {
	case 0:
		return f.s.Reject(ctx, key, f.verdict(ts(int64(n))))
	case 1:
		return f.s.Forget(ctx, key)
	case 2:
		if _, err := f.s.Get(ctx, key); !errors.Is(err, rejected.ErrNotFound) {
			return err
		}
		return nil
	case 3:
		l, ok := f.s.(rejected.Lister)
		if !ok {
			return nil
		}
		_, _, err := l.List(ctx, rejected.Query{})
		return err
	case 4:
		_, err := f.s.Suspect(ctx, key, f.look())
		return err
	case 5:
		return f.s.Acquit(ctx, key)
	default:
		return f.s.Lookup(ctx, []rejected.Key{keyC, keyA, keyB}, make([]rejected.Mark, 3))
	}
}

func concurrency(t *testing.T, h Harness) {
	f := newFixture(t, h)
	const workers, rounds = 16, 20
	own := func(worker int) rejected.Key { return rejected.KeyOf("org.example.app", fmt.Sprint("worker", worker)) }
	shared := rejected.KeyOf("org.example.app", "shared")

	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for n := range rounds {
				err := errors.Join(
					operate(f, i, n),
					f.s.Reject(context.Background(), own(i), f.verdict(ts(int64(n)))),
					f.s.Reject(context.Background(), shared, f.verdict(ts(int64(i*rounds+n)))),
				)
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()

	for i := range workers {
		f.expect(own(i), ts(rounds-1), true)
		f.expect(own(i), ts(rounds), false)
	}
	if got := f.get(shared); got.Condemned != ts(workers*rounds-1) || got.Verdicts != 1 {
		t.Errorf("verdicts of %d workers at once merged into %+v", workers, got)
	}
}

// suspectConcurrently has each worker suspect and acquit a separate key, while all of them look at two shared keys. One of the shared keys
// is acquitted at the end.
func suspectConcurrently(t *testing.T, h Harness) {
	f := newFixture(t, h)
	const workers, rounds = 16, 10
	own := func(worker int) rejected.Key { return nth("worker", worker) }
	shared, acquitted := nth("shared", 0), nth("shared", 1)
	f.reject(acquitted, f.verdict(ts(0)))
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for range rounds {
				for _, k := range []rejected.Key{shared, acquitted, own(i)} {
					if s, err := f.s.Suspect(t.Context(), k, f.look()); err != nil || s.Looks != 1 || !s.Since.Equal(f.clock.Now()) {
						t.Errorf("looks that were under way together gave %+v, %v", s, err)
						return
					}
				}
				if err := errors.Join(f.s.Acquit(t.Context(), acquitted), f.s.Acquit(t.Context(), own(i))); err != nil {
					t.Error(err)
					return
				}
				if m := f.mark(own(i)); m != (rejected.Mark{}) {
					t.Errorf("a pushkey that was acquitted has the mark %+v", m)
				}
			}
		})
	}
	wg.Wait()
	f.expectRecord(shared, rejected.Record{}.Suspect(f.look()))
	f.expectMark(shared, rejected.Record{}.Suspect(f.look()))
	f.acquit(acquitted)
	f.expectRecord(acquitted, rejected.Record{}.Add(f.verdict(ts(0))))
	f.expectMark(acquitted, rejected.Record{}.Add(f.verdict(ts(0))))
	for i := range workers {
		f.expectGone(own(i))
	}
	f.expectLen(2)
}

func listConcurrently(t *testing.T, h Harness) {
	l := newLister(t, h)
	stay := l.rejectMany("stays", 100)
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				key := nth(fmt.Sprint("comes and goes ", i), n%50)
				if err := errors.Join(l.s.Reject(t.Context(), key, l.verdict(0)), l.s.Forget(t.Context(), key)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 4 {
		readers.Go(func() {
			for range 3 {
				if missing := l.missing(rejected.Query{Limit: 10 + i}, stay); missing > 0 {
					t.Errorf("%d records were there all the time, but are not listed", missing)
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
	l.expectOnce(rejected.Query{}, stay...)
}
