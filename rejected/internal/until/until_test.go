package until

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errBroken = errors.New("broken")

func TestACallReturnsWhatItCameTo(t *testing.T) {
	t.Parallel()
	live, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, ctx := range map[string]context.Context{"with a context that can end": live, "with one that cannot": context.Background()} {
		calls := make(Calls, 1)
		for range 3 {
			if n, err := Run(ctx, calls, func() (int, error) { return 7, errBroken }); n != 7 || !errors.Is(err, errBroken) {
				t.Errorf("%s: %d, %v", name, n, err)
			}
			if err := Do(ctx, calls, func() error { return nil }); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestACallEndsWithItsContextAndGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, goOn, done := make(Calls, 2), make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		n, err := Run(ctx, calls, func() (int, error) {
			defer close(done)
			<-goOn
			return 7, nil
		})
		if n != 0 || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%d, %v after %v", n, err, time.Since(begin))
		}
		close(goOn)
		<-done
	})
}

func TestACallWhoseContextIsDoneDoesNotBegin(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Do(ctx, make(Calls, 1), func() error { t.Error("it began"); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCallsThatNobodyWaitsForAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, goOn := make(Calls, 2), make(chan struct{})
		var begun atomic.Int64
		hang := func() error { begun.Add(1); <-goOn; return nil }
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := Do(ctx, calls, hang); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		if n := begun.Load(); n != 2 {
			t.Errorf("%d calls began, want 2", n)
		}
		close(goOn)
		synctest.Wait()
		if err := Do(t.Context(), calls, hang); err != nil || begun.Load() != 3 {
			t.Errorf("afterwards: %v, %d began", err, begun.Load())
		}
	})
}
