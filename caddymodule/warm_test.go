package caddymodule

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// warmer is a provider that prepares with the function warm.
type warmer struct {
	providers.Provider
	warm  func(context.Context) error
	calls atomic.Int64
	over  atomic.Int64
}

func (w *warmer) Warm(ctx context.Context) error {
	w.calls.Add(1)
	defer w.over.Add(1)
	return w.warm(ctx)
}

func warmly(context.Context) error { return nil }

// hanging is not ready before ctx is done.
func hanging(ctx context.Context) error {
	<-ctx.Done()
	return errors.New("no answer in time")
}

// warming warms up providers once allStarted is closed. It returns allStarted, the log, and a function that ends the warm-up.
func warming(t *testing.T, provided map[string]providers.Provider) (allStarted chan<- struct{}, logs *zapobserver.ObservedLogs, stop func()) {
	t.Helper()
	var apps []*gateway.App
	for pattern, p := range provided {
		apps = append(apps, &gateway.App{Pattern: pattern, ProviderName: "test", Provider: p})
	}
	core, logs := zapobserver.New(zapcore.DebugLevel)
	o := telemetry.NewObserver(zap.New(core), func(name string, _ map[string]any) { t.Errorf("event %s", name) })
	started := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go warm(ctx, started, apps, o)
	return started, logs, stop
}

func TestNothingGetsReadyBeforeTheConfigurationIsLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := &warmer{warm: warmly}, &warmer{warm: warmly}
		allStarted, logs, stop := warming(t, map[string]providers.Provider{"first": first, "second": second, "other": silent{}})
		synctest.Wait()
		if n := first.calls.Load() + second.calls.Load(); n != 0 {
			t.Errorf("%d providers got ready for a configuration that may yet fail", n)
		}
		close(allStarted)
		synctest.Wait()
		if first.over.Load() != 1 || second.over.Load() != 1 || logs.Len() != 0 {
			t.Errorf("the providers got ready %d and %d times, and the log has %v", first.over.Load(), second.over.Load(), logs.All())
		}
		stop()
	})
}

func TestNothingGetsReadyForAConfigurationThatNeverWentLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &warmer{warm: warmly}
		allStarted, _, stop := warming(t, map[string]providers.Provider{"app": w})
		stop()
		synctest.Wait()
		close(allStarted)
		synctest.Wait()
		if n := w.calls.Load(); n != 0 {
			t.Errorf("the provider got ready %d times", n)
		}
	})
}

func TestAProviderThatCannotGetReadyIsADebugLineAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good, failing := &warmer{warm: warmly}, &warmer{warm: func(context.Context) error { return errors.New("no way") }}
		panicking := &warmer{warm: func(context.Context) error { panic("a secret") }}
		slow := &warmer{warm: hanging}
		allStarted, logs, stop := warming(t, map[string]providers.Provider{"good": good, "failing": failing, "panicking": panicking, "slow": slow})
		close(allStarted)
		synctest.Wait()
		if good.over.Load() != 1 || slow.over.Load() != 0 || logs.Len() != 2 {
			t.Errorf("ready: %d, slow: %d, log: %v", good.over.Load(), slow.over.Load(), logs.All())
		}
		time.Sleep(warmTimeout) // the bubble's time
		synctest.Wait()
		if slow.over.Load() != 1 {
			t.Error("one goes on for ever")
		}
		want := map[any]any{"failing": "no way", "panicking": "the provider panicked with a string", "slow": "no answer in time"}
		for _, entry := range logs.All() {
			fields := entry.ContextMap()
			if entry.Level != zapcore.DebugLevel || fields["provider"] != "test" || fields["error"] != want[fields["app"]] {
				t.Errorf("the log has %s %q: %v", entry.Level, entry.Message, fields)
			}
			delete(want, fields["app"])
		}
		if len(want) != 0 {
			t.Errorf("the log says nothing of %v", want)
		}
		stop()
	})
}

func TestTheEndOfTheConfigurationEndsGettingReadyWithoutAWord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &warmer{warm: hanging}
		allStarted, logs, stop := warming(t, map[string]providers.Provider{"slow": slow})
		close(allStarted)
		synctest.Wait()
		stop()
		synctest.Wait()
		if slow.over.Load() != 1 || logs.Len() != 0 {
			t.Errorf("it ended %d times, and the log has %v", slow.over.Load(), logs.All())
		}
	})
}
