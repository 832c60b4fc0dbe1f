package caddymodule

import (
	"errors"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestAnAttemptIsLoggedAtTheLevelItDeserves(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		outcome providers.Outcome
		result  gateway.Result
		alarm   bool
		event   string
		level   zapcore.Level
		message string
	}{
		{"a delivery is no news", providers.Delivered(), gateway.Delivered, false, "", zapcore.DebugLevel, "push delivered"},
		{"a failure that passes is no news", providers.Retry("timeout", 0, nil), gateway.Queued, false, "", zapcore.DebugLevel, "push retry"},
		{"what a client got wrong is no news", providers.Unusable("bad_endpoint", nil), gateway.Rejected, false, "", zapcore.DebugLevel, "push rejected"},
		{"a dead pushkey is worth a line", providers.Rejected("gone"), gateway.Rejected, false, eventPushkeyRejected, zapcore.InfoLevel, "push rejected"},
		{"what the operator has to mend is an error", providers.Misconfigured("http_403", nil), gateway.Queued, true, eventAppMisconfigured, zapcore.ErrorLevel, "push misconfigured"},
		{"a verdict on an earlier registration is no news", providers.Rejected("gone"), gateway.Dropped, false, "", zapcore.DebugLevel, "push outdated"},
		{"a verdict that is not believed rejected nobody", providers.Rejected("bad_device_token"), gateway.Queued, true, eventAppMisconfigured, zapcore.ErrorLevel, "push doubted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			core, logs := zapobserver.New(zapcore.DebugLevel)
			var emitted string
			emit := func(event string, _ map[string]any) { emitted = event }
			(&observer{logger: zap.New(core), emit: emit}).Attempted(gateway.Attempt{
				App: &gateway.App{Pattern: "org.example.*", ProviderName: "webpush"}, Key: rejected.KeyOf("a", "secret"),
				Outcome: test.outcome, Result: test.result, Alarm: test.alarm,
			})
			entries := logs.All()
			if len(entries) != 1 || entries[0].Level != test.level || entries[0].Message != test.message {
				t.Fatalf("logged %+v", entries)
			}
			if emitted != test.event {
				t.Errorf("emitted %q, want %q", emitted, test.event)
			}
			if hash := entries[0].ContextMap()["pushkey_hash"]; hash != rejected.KeyOf("a", "secret").String()[:8] {
				t.Errorf("the pushkey's hash is %v", hash)
			}
		})
	}
}

func TestTheSameTroubleIsNotSaidAgainAtOnce(t *testing.T) {
	t.Parallel()
	core, logs := zapobserver.New(zapcore.InfoLevel)
	o := &observer{logger: zap.New(core), emit: func(string, map[string]any) {}}
	attempt := gateway.Attempt{App: &gateway.App{Pattern: "a"}, Outcome: providers.Misconfigured("http_403", nil), Alarm: true}
	for range 100 {
		o.Attempted(attempt)
		o.StoreFailed("looking up rejections", errors.New("down"))
	}
	if n := logs.Len(); n != 2 {
		t.Errorf("%d lines", n)
	}
	attempt.Outcome.Reason = "http_401"
	o.Attempted(attempt)
	if n := logs.Len(); n != 3 {
		t.Errorf("another reason is news, but there are %d lines", n)
	}
}
