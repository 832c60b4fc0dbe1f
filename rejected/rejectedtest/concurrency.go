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
	switch (worker + n) % 5 {
	case 0:
		return f.s.Reject(ctx, key, f.verdict(ts(int64(n))))
	case 1:
		return f.s.Forget(ctx, key)
	case 2:
		if _, err := f.s.Get(ctx, key); !errors.Is(err, rejected.ErrNotFound) {
			return err
		}
		return nil
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
