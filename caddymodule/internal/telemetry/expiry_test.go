package telemetry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// ending is a provider whose credential expires.
type ending struct {
	providers.Provider
	at time.Time
}

func (e *ending) CredentialExpiry() time.Time { return e.at }

func TestTheOperatorIsToldEveryDayOfACredentialThatEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		core, logs := zapobserver.New(zapcore.DebugLevel)
		ctx, stop := context.WithCancel(t.Context())
		var events int
		var expired bool
		o := &Observer{logger: zap.New(core), emit: func(name string, data map[string]any) {
			if name != eventExpiring || data["app"] != "ending" {
				t.Errorf("event %s: %v", name, data)
			}
			events++
			expired = data["expired"] == true
		}}
		go o.WatchExpiry(ctx, []*gateway.App{
			{Pattern: "lasting", Provider: &ending{}},
			{Pattern: "ending", Provider: &ending{at: time.Now().Add(32*day + time.Hour)}},
		})
		want := func(after string, warnings, errors int) {
			t.Helper()
			synctest.Wait()
			w, e := logs.FilterMessage("credential expires soon").Len(), logs.FilterMessage("credential has expired").Len()
			if events != w+e || expired != (e > 0) {
				t.Errorf("%s: %d events, expired: %v", after, events, expired)
			}
			if w != warnings || e != errors || logs.Len() != w+e {
				t.Errorf("%s: %d warnings and %d errors, want %d and %d", after, w, e, warnings, errors)
			}
		}
		want("at the start", 0, 0)
		time.Sleep(2 * day)
		want("two days later", 0, 0)
		time.Sleep(day)
		want("in the last thirty days", 1, 0)
		time.Sleep(29 * day)
		want("on the last day", 30, 0)
		time.Sleep(day)
		want("after the end", 30, 1)
		if app := logs.All()[0].ContextMap()["app"]; app != "ending" {
			t.Errorf("reported for %v", app)
		}
		stop()
	})
}
