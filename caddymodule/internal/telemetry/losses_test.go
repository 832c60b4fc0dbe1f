package telemetry

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// explainer is a provider that explains its reasons.
type explainer struct{ providers.Provider }

var explained = map[string]string{
	"own_path": "the path is not in own_paths", "refused": "the push server refuses the push", "too_large": "the push is too large",
	"dns": "the name does not exist",
}

func (explainer) Explain(reason string) string { return explained[reason] }

// dropped is a push that was dropped for a reason.
func dropped(app, reason string, known bool) gateway.Attempt {
	return gateway.Attempt{
		App: &gateway.App{Pattern: app, ProviderName: "unifiedpush", Provider: explainer{}}, Key: rejected.KeyOf(app, "key"), Known: known, Chosen: true,
		Outcome: providers.Dropped(reason, errors.New("why")), Result: gateway.Dropped,
	}
}

func TestADroppedPushIsAWarningAMinuteForEachAppAndReason(t *testing.T) {
	t.Parallel()
	reasons := []string{"blocked", "own_path", "refused", "too_large", "expired", "given_up", "displaced", "unreadable", "dns", "another"}
	synctest.Test(t, func(t *testing.T) {
		l := listen(zapcore.InfoLevel)
		counted := make(map[string]func() float64)
		for _, reason := range reasons {
			counted[reason] = growth(t, metrics.pushes.WithLabelValues("dropping.a", "unifiedpush", "dropped", reason))
		}
		for range 3 {
			for range 10 {
				for _, reason := range reasons {
					l.Attempted(dropped("dropping.a", reason, true))
					l.Attempted(dropped("dropping.b", reason, true))
				}
			}
			time.Sleep(repeatAfter)
		}
		lines := l.logs.All()
		if len(lines) != 3*2*len(reasons) {
			t.Fatalf("%d lines, want %d", len(lines), 3*2*len(reasons))
		}
		for _, line := range lines {
			fields := line.ContextMap()
			if line.Level != zapcore.WarnLevel || line.Message != "push dropped" || fields["app"] == nil || fields["reason"] == nil || fields["error"] != "why" {
				t.Errorf("logged %+v", line)
			}
			want := "`caddy matrix-push rejected explain` shows the device's latest attempt"
			reason, _ := fields["reason"].(string)
			if fields["hint"] != cmp.Or(explained[reason], gateway.Reasons[reason], want) {
				t.Errorf("the hint of %s is %v", reason, fields["hint"])
			}
		}
		if len(l.emitted) != 0 {
			t.Errorf("emitted %v", l.emitted)
		}
		for reason, counted := range counted {
			if n := counted(); n != 30 {
				t.Errorf("%v were counted as %s, want 30", n, reason)
			}
		}
	})
}

// Anyone can cause pushes to be blocked, at hosts that they make up.
func TestAStrangersDroppedPushHidesNobodyElses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := listen(zapcore.InfoLevel)
		for i := range 500 {
			l.Attempted(dropped(fmt.Sprint("app", i), "blocked", false))
		}
		if n := l.logs.Len(); n != maxRejections {
			t.Errorf("strangers caused %d lines", n)
		}
		for range 10 {
			l.Attempted(dropped("app1", "blocked", true)) // the strangers' line was logged
		}
		known := l.logs.All()[maxRejections:]
		if len(known) != 1 || known[0].Level != zapcore.WarnLevel {
			t.Errorf("for a device that was delivered to, logged %+v", known)
		}
	})
}

func TestACountThatNobodyWantsIsNoLoss(t *testing.T) {
	t.Parallel()
	l := listen(zapcore.InfoLevel)
	for _, reason := range unwanted {
		l.Attempted(dropped("app", reason, true))
	}
	if n := l.logs.Len(); n != 0 {
		t.Errorf("logged %v", l.logs.All())
	}
}

func TestAFailingAppIsAWarningWhenItBeginsAndALineWhenItEnds(t *testing.T) {
	t.Parallel()
	app := &gateway.App{Pattern: "a", ProviderName: "unifiedpush"}
	for name, tt := range map[string]struct {
		why  gateway.Failing
		hint string
	}{
		"the service":    {gateway.Failing{Reason: "dns", Detail: "no such name"}, "check the push service's status page, your DNS, proxy and firewall; pushes are retried when it works again"},
		"the own server": {gateway.Failing{Reason: "dns", Host: "push.test:443"}, "check your push server behind this site; pushes are retried when it works again"},
		"the proxy":      {gateway.Failing{Reason: "network", Proxy: true}, "check the proxy that the option proxy or the environment variable HTTPS_PROXY names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(zapcore.InfoLevel)
			l.AppFailing(app, tt.why)
			l.AppRecovered(app)
			lines := l.logs.All()
			if len(lines) != 2 || lines[0].Level != zapcore.WarnLevel || lines[1].Level != zapcore.InfoLevel {
				t.Fatalf("logged %+v", lines)
			}
			fields := lines[0].ContextMap()
			host, error := fields["host"], fields["error"]
			if fields["app"] != "a" || fields["reason"] != tt.why.Reason || fields["hint"] != tt.hint || (host != nil) != (tt.why.Host != "") || (error != nil) != (tt.why.Detail != "") {
				t.Errorf("the line has %v", fields)
			}
			if l.emitted[eventAppFailing] != 1 || l.emitted[eventAppRecovered] != 1 {
				t.Errorf("emitted %v", l.emitted)
			}
		})
	}
}

// Not parallel, as the metrics belong to the process.
func TestM41_EventsForgottenEarlyAreCountedAndWarnedOf(t *testing.T) {
	forgotten := growth(t, metrics.eventsForgotten)
	synctest.Test(t, func(t *testing.T) {
		l := listen(zapcore.InfoLevel)
		for range 3 {
			for range 10 {
				l.Forgot(7)
			}
			time.Sleep(repeatAfter)
		}
		lines := l.logs.FilterLevelExact(zapcore.WarnLevel).FilterMessage("delivered events forgotten early; there are too many").All()
		if len(lines) != 3 || l.logs.Len() != 3 {
			t.Fatalf("logged %+v", l.logs.All())
		}
		if fields := lines[0].ContextMap(); fields["events"] != int64(7) || fields["hint"] == "" {
			t.Errorf("the line has %v", fields)
		}
	})
	if n := forgotten(); n != 210 {
		t.Errorf("%v events were counted", n)
	}
}

func TestAPushThatTheOutboxDroppedByItselfIsCountedAndWarnedOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := listen(zapcore.InfoLevel)
		app, gone := &gateway.App{Pattern: "losing.a", ProviderName: "apns"}, &gateway.App{Pattern: "losing.b"}
		unreadable := growth(t, metrics.pushes.WithLabelValues("losing.a", "apns", "dropped", "unreadable"))
		expired := growth(t, metrics.pushes.WithLabelValues("losing.b", "", "dropped", "expired"))
		for range 3 {
			for range 10 {
				l.Lost(app, outbox.LossUnreadable, 1)
				l.Lost(gone, outbox.LossExpired, 7)
			}
			time.Sleep(repeatAfter)
		}
		lines := l.logs.FilterLevelExact(zapcore.WarnLevel).FilterMessage("pushes dropped by the outbox").All()
		if len(lines) != 6 || l.logs.Len() != 6 {
			t.Fatalf("logged %+v", l.logs.All())
		}
		for _, line := range lines {
			if fields := line.ContextMap(); fields["app"] == nil || fields["reason"] == nil || fields["pushes"] == nil || fields["hint"] == "" {
				t.Errorf("the line has %v", fields)
			}
		}
		if n := unreadable(); n != 30 {
			t.Errorf("%v unreadable ones were counted", n)
		}
		if n := expired(); n != 210 {
			t.Errorf("%v expired ones were counted", n)
		}
	})
}
