package tenancy

import (
	"context"
	"runtime"
	"testing"
)

func (f *fake) shares() int {
	n, _ := f.pool.References(key)
	return n
}

func TestAnAttemptOutlivesItsConfiguration(t *testing.T) {
	t.Parallel()
	f := newPool()
	old := f.provision("old").live(t)
	f.Hold("1")
	f.Hold("2")
	f.Hold("2")
	if n := f.shares(); n != 2 {
		t.Errorf("%d shares, want one for all attempts", n)
	}
	old.cleanup(t)
	f.expectUse(t, nil)
	f.LetGo(t.Context(), "1")
	f.LetGo(t.Context(), "1")
	f.LetGo(t.Context(), "unknown")
	f.expectUse(t, nil)
	f.LetGo(t.Context(), "2")
	f.expectUse(t, errNotOpen)
	f.expect(t, "old", "open", "background ends", "close")
}

func TestAReloadMeetsTheAttemptsUnderWay(t *testing.T) {
	t.Parallel()
	f := newPool()
	old := f.provision("old").live(t)
	f.Hold("1")
	old.cleanup(t)
	before := f.Tenancy
	reloaded := f.provision("reloaded").live(t)
	if f.Tenancy != before {
		t.Error("it shares something else")
	}
	f.LetGo(t.Context(), "1")
	f.expectUse(t, nil)
	reloaded.cleanup(t)
	f.expect(t, "reloaded", "open", "background ends", "close")
}

func TestAnAttemptThatBeginsTooLateKeepsNothingOpen(t *testing.T) {
	t.Parallel()
	f := newPool()
	f.provision("old").live(t).cleanup(t)
	closed := f.Tenancy
	closed.Hold("1")
	if n := f.shares(); n != 0 {
		t.Errorf("%d shares", n)
	}
	reloaded := f.provision("reloaded").live(t)
	closed.LetGo(t.Context(), "1") // it has no share, not even somebody else's
	f.expectUse(t, nil)
	reloaded.cleanup(t)
}

func TestTheEndOfAnAttemptWaitsForTheClosingAsLongAsItMay(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*fake, string){
		"its context ends": func(f *fake, attempt string) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			f.LetGo(ctx, attempt)
		},
		"the closing waits for it": func(f *fake, attempt string) {
			_ = f.Enter(func() error { f.LetGoSoon(attempt); return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newPool()
			old := f.provision("old").live(t)
			f.Hold("1")
			old.cleanup(t)
			worked := f.work(t)
			end(f, "1") // it would hang here
			f.waitForClosing()
			f.expect(t, "old", "open", "background ends")
			worked()
			for f.Opened() {
				runtime.Gosched()
			}
		})
	}
}

func TestTestsMayLeaveAttempts(t *testing.T) {
	t.Parallel()
	f := newPool()
	old := f.provision("old").live(t)
	f.Hold("1")
	old.cleanup(t)
	f.LetAllGo()
	f.LetAllGo()
	f.expectUse(t, errNotOpen)
}
