package telemetry

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
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
		{"a delivery is not logged above debug", providers.Delivered(), gateway.Delivered, false, "", zapcore.DebugLevel, "push delivered"},
		{"nor is a temporary failure", providers.Retry("timeout", 0, nil), gateway.Queued, false, "", zapcore.DebugLevel, "push retry"},
		{"a client's mistake is worth a line, but not a verdict", providers.Unusable("bad_endpoint", nil), gateway.Rejected, false, "", zapcore.InfoLevel, "push rejected"},
		{"a dead pushkey is worth a line", providers.Rejected("gone"), gateway.Rejected, false, eventPushkeyRejected, zapcore.InfoLevel, "push rejected"},
		{"a dropped push is a warning", providers.Dropped("too_large", nil), gateway.Dropped, false, "", zapcore.WarnLevel, "push dropped"},
		{"what the operator must fix is an error", providers.Misconfigured("http_403", nil), gateway.Queued, true, eventAppMisconfigured, zapcore.ErrorLevel, "push misconfigured"},
		{"a verdict on an earlier registration is not logged above debug", providers.Rejected("gone"), gateway.Dropped, false, "", zapcore.DebugLevel, "push outdated"},
		{"a verdict in doubt rejects nothing", providers.Rejected("bad_device_token"), gateway.Queued, true, eventAppMisconfigured, zapcore.ErrorLevel, "push doubted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			core, logs := zapobserver.New(zapcore.DebugLevel)
			var emitted string
			emit := func(event string, _ map[string]any) { emitted = event }
			(&Observer{logger: zap.New(core), emit: emit}).Attempted(gateway.Attempt{
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

// wordy is a provider that explains its reasons.
type wordy struct{ providers.Provider }

func (wordy) Explain(reason string) string {
	if reason == "unexplained" {
		return ""
	}
	return "what " + reason + " means"
}

// P16: a log line about a reason had no hint, except if a push was blocked.
func TestALineThatConcernsTheOperatorHasTheReasonsExplanationAsItsHint(t *testing.T) {
	t.Parallel()
	blocked := providers.Blocked("unexplained", nil)
	for _, test := range []struct {
		name    string
		outcome providers.Outcome
		alarm   bool
		want    any
	}{
		{"what the operator must fix", providers.Misconfigured("http_403", nil), true, "what http_403 means"},
		{"a rejection in doubt", providers.Rejected("bad_device_token"), true, "what bad_device_token means"},
		{"a reason of the engine", providers.Dropped("expired", nil), true, "what expired means"},
		{"a push that is blocked", providers.Blocked("own_path", nil), false, "what own_path means"},
		{"a push that is blocked for a reason that nobody explains", blocked, false, "the app's settings block this push"},
		{"an unusable pushkey", providers.Unusable("bad_token", nil), false, "what bad_token means"},
		{"what goes away by itself", providers.Retry("timeout", 0, nil), false, nil},
		{"what nobody explains", providers.Misconfigured("unexplained", nil), true, nil},
	} {
		core, logs := zapobserver.New(zapcore.DebugLevel)
		o := &Observer{logger: zap.New(core), emit: func(string, map[string]any) {}}
		o.Attempted(gateway.Attempt{App: &gateway.App{Pattern: "a", Provider: wordy{}}, Outcome: test.outcome, Alarm: test.alarm})
		if entries := logs.All(); len(entries) != 1 || entries[0].ContextMap()["hint"] != test.want {
			t.Errorf("%s: logged %+v", test.name, entries)
		}
	}
}

func TestTheSameTroubleIsNotSaidAgainAtOnce(t *testing.T) {
	t.Parallel()
	core, logs := zapobserver.New(zapcore.InfoLevel)
	o := &Observer{logger: zap.New(core), emit: func(string, map[string]any) {}}
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

// Anyone can make up such devices. In https://github.com/binwiederhier/ntfy-android/issues/130, a user could not find out why.
func TestAnUnusableDeviceIsOneLineAMinuteForEachAppAndReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := zapobserver.New(zapcore.InfoLevel)
		o := &Observer{logger: zap.New(core), emit: func(event string, _ map[string]any) { t.Errorf("%s was emitted", event) }}
		for range 3 {
			for i := range 100 {
				for _, reason := range []string{"bad_endpoint", "bad_subscription"} {
					o.Attempted(gateway.Attempt{
						App: &gateway.App{Pattern: "a", ProviderName: "unifiedpush"}, Key: rejected.KeyOf("a", string(rune('a'+i))),
						Outcome: providers.Unusable(reason, errors.New("it is not an https URL")), Result: gateway.Rejected,
					})
				}
			}
			time.Sleep(repeatAfter)
		}
		if n := logs.Len(); n != 6 {
			t.Fatalf("%d lines, want one a minute for each reason", n)
		}
		line := logs.All()[0].ContextMap()
		if line["reason"] != "bad_endpoint" || line["error"] != "it is not an https URL" || line["pushkey_hash"] != rejected.KeyOf("a", "a").Short() {
			t.Errorf("the line has %v", line)
		}
	})
}

func TestAPushServicesWordIsInTheLineAndInTheEvent(t *testing.T) {
	t.Parallel()
	core, logs := zapobserver.New(zapcore.DebugLevel)
	events := map[string]any{}
	o := &Observer{logger: zap.New(core), emit: func(event string, data map[string]any) { events[event] = data["word"] }}
	app := &gateway.App{Pattern: "a", ProviderName: "apns"}
	attempt := func(out providers.Outcome, word string, result gateway.Result, alarm bool) {
		out.Word = word
		o.Attempted(gateway.Attempt{App: app, Outcome: out, Result: result, Alarm: alarm})
	}
	attempt(providers.Misconfigured("http_403", nil), "BadEnvironmentKeyInToken", gateway.Queued, true)
	attempt(providers.Rejected("unregistered"), "Unregistered", gateway.Rejected, false)
	attempt(providers.Retry("server_error", 0, nil), "", gateway.Queued, false)
	lines := logs.All()
	if lines[0].ContextMap()["word"] != "BadEnvironmentKeyInToken" || lines[1].ContextMap()["word"] != "Unregistered" {
		t.Errorf("logged %+v", lines)
	}
	if _, there := lines[2].ContextMap()["word"]; there {
		t.Error("a line has a word where there is none")
	}
	if events[eventAppMisconfigured] != "BadEnvironmentKeyInToken" || events[eventPushkeyRejected] != "Unregistered" {
		t.Errorf("emitted %v", events)
	}
}

func TestAnotherKeyIsAWarningWithWhatToDo(t *testing.T) {
	t.Parallel()
	core, logs := zapobserver.New(zapcore.InfoLevel)
	o := &Observer{logger: zap.New(core), emit: func(event string, _ map[string]any) { t.Errorf("%s was emitted", event) }}
	app := &gateway.App{Pattern: "a", ProviderName: "webpush"}
	wrong := providers.Misconfigured("wrong_key", nil)
	o.Attempted(gateway.Attempt{App: app, Outcome: wrong, Result: gateway.Queued, Host: "push.example.org:443"})
	o.Attempted(gateway.Attempt{App: app, Outcome: wrong, Result: gateway.Queued, Host: "push.example.org:443", WrongKeys: 2})
	lines := logs.All()
	if len(lines) != 1 || lines[0].Level != zapcore.WarnLevel || lines[0].Message != "subscriptions were made for a VAPID key that is not the gateway's" {
		t.Fatalf("logged %+v", lines)
	}
	fields := lines[0].ContextMap()
	if fields["app"] != "a" || fields["host"] != "push.example.org:443" || fields["devices"] != int64(2) || fields["hint"] == "" {
		t.Errorf("the line has %v", fields)
	}
}

// A full outbox causes a warning a minute for each app. Refusals to strangers or to a single device don't concern the operator.
func TestAFullOutboxIsWarnedOfOnceAMinuteForEachApp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := zapobserver.New(zapcore.InfoLevel)
		o := &Observer{logger: zap.New(core), emit: func(string, map[string]any) {}}
		ios, all := &gateway.App{Pattern: "full.ios", ProviderName: "apns"}, &gateway.App{Pattern: "full.*", ProviderName: "unifiedpush"}
		counted := make(map[gateway.Refusal]func() float64)
		for _, why := range []gateway.Refusal{gateway.RefusedFull, gateway.RefusedStranger, gateway.RefusedDevice} {
			counted[why] = growth(t, metrics.outboxRefusals.WithLabelValues(all.Pattern, all.ProviderName, string(why)))
		}
		for range 3 {
			for range 10 {
				o.Refused(ios, gateway.RefusedFull)
				o.Refused(all, gateway.RefusedFull)
				o.Refused(all, gateway.RefusedStranger)
				o.Refused(all, gateway.RefusedDevice)
			}
			time.Sleep(repeatAfter)
		}
		if n := len(logs.FilterLevelExact(zapcore.WarnLevel).FilterMessage("outbox full: pushes are refused").All()); n != 6 || logs.Len() != 6 {
			t.Errorf("%d warnings in %d lines, want 6", n, logs.Len())
		}
		for why, counted := range counted {
			if n := counted(); n != 30 {
				t.Errorf("%v were counted as %s, want 30", n, why)
			}
		}
	})
}

// A push that made room for another is counted, but not as an attempt.
func TestAPushThatMadeWayIsNoAttempt(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	app := &gateway.App{Pattern: "a", ProviderName: "unifiedpush"}
	m.push(gateway.Attempt{App: app, Outcome: providers.Dropped("displaced", nil), Result: gateway.Dropped, Untried: true})
	if n := valueOf(t, m.pushes.WithLabelValues("a", "unifiedpush", "dropped", "displaced")); n != 1 {
		t.Errorf("%v were counted, want 1", n)
	}
	durations := make(chan prometheus.Metric, 1)
	m.pushSeconds.Collect(durations)
	if n := len(durations); n != 0 {
		t.Errorf("%d durations were observed, want none", n)
	}
}

// growth returns a function that says how much a counter has grown since. Counters are not set back when a test runs again.
func growth(t *testing.T, c prometheus.Counter) func() float64 {
	t.Helper()
	before := valueOf(t, c)
	return func() float64 { return valueOf(t, c) - before }
}

func valueOf(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}
