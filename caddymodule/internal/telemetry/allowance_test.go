package telemetry

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// listener records an observer's lines and events.
type listener struct {
	*Observer
	logs *zapobserver.ObservedLogs
	// emitted counts the events by name.
	emitted map[string]int
}

func listen(level zapcore.Level) *listener {
	core, logs := zapobserver.New(level)
	l := &listener{logs: logs, emitted: make(map[string]int)}
	l.Observer = &Observer{logger: zap.New(core), emit: func(event string, _ map[string]any) { l.emitted[event]++ }}
	return l
}

// left returns the counts in the summaries with this message.
func (l *listener) left(message string) (left []map[string]int) {
	for _, e := range l.logs.FilterMessage(message).All() {
		left = append(left, e.ContextMap()["kinds"].(map[string]int))
	}
	return left
}

func rejection(i int, known, chosen bool) gateway.Attempt {
	return gateway.Attempt{
		App: &gateway.App{Pattern: "*", ProviderName: "unifiedpush"}, Key: rejected.KeyOf("a", fmt.Sprint(i)),
		Outcome: providers.Rejected("gone"), Result: gateway.Rejected, Known: known, Chosen: chosen,
	}
}

// A review found that 20 requests caused 1000 lines and as many events.
const eventsSuppressed = "too many Caddy events; some were not emitted"

func TestMadeUpPushkeysFillNeitherLogNorEvents(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		known, chosen bool
		want          int
	}{
		{"of servers that devices choose, never delivered to", false, true, 0},
		{"of servers that devices choose, delivered to before", true, true, maxRejections},
		{"of the operator's push service, never delivered to", false, false, maxRejections},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := listen(zapcore.InfoLevel)
				for i := range 1000 {
					l.Attempted(gateway.Attempt{App: &gateway.App{Pattern: "*"}, Outcome: providers.Delivered(), Result: gateway.Delivered})
					l.Attempted(rejection(i, tt.known, tt.chosen))
				}
				if n := l.logs.Len(); n != tt.want || l.emitted[eventPushkeyRejected] != tt.want {
					t.Errorf("%d lines, events %v", n, l.emitted)
				}
				if tt.want == 0 {
					return
				}
				// There is still room for what the operator must know.
				l.Attempted(gateway.Attempt{App: &gateway.App{Pattern: "b"}, Outcome: providers.Misconfigured("http_403", nil), Alarm: true})
				l.FuseTripped("b", "", 20, true)
				if l.logs.FilterLevelExact(zapcore.ErrorLevel).Len() != 2 || l.emitted[eventAppMisconfigured] != 1 || l.emitted[eventFuseTripped] != 1 {
					t.Errorf("the operator is not told: events %v", l.emitted)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for message, kind := range map[string]string{"log lines suppressed": "push rejected", eventsSuppressed: eventPushkeyRejected} {
					if got := l.left(message); len(got) != 1 || !maps.Equal(got[0], map[string]int{kind: 1000 - maxRejections}) {
						t.Errorf("%s: %v", message, got)
					}
				}
				l.Attempted(rejection(0, tt.known, tt.chosen))
				if l.emitted[eventPushkeyRejected] != tt.want+1 {
					t.Error("in the next minute, it says nothing")
				}
			})
		})
	}
}

func TestWhateverStrangersCauseAHundredLinesAMinuteAreTheMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := listen(zapcore.InfoLevel)
		cause := func() {
			for i := range 500 {
				app := &gateway.App{Pattern: fmt.Sprint("app", i), ProviderName: "apns"}
				l.Attempted(rejection(i, true, true))
				l.Attempted(gateway.Attempt{App: app, Outcome: providers.Blocked(fmt.Sprint("blocked", i), nil), Result: gateway.Dropped})
				l.Attempted(gateway.Attempt{App: app, Outcome: providers.Misconfigured(fmt.Sprint("http_", i), nil), Alarm: true})
				l.BreakerOpened(app, "")
				l.BreakerClosed(app, "")
				l.FuseTripped(app.Pattern, fmt.Sprint("host", i), 20, i%2 == 0)
				l.FuseReset(app.Pattern, fmt.Sprint("host", i), false, i%2 == 0)
				l.StoreFailed(fmt.Sprint("doing ", i), nil)
			}
		}
		for minute := range 3 {
			cause()
			events := 0
			for _, n := range l.emitted {
				events += n
			}
			if lines := l.logs.Len(); lines > maxLines || events > maxLines {
				t.Errorf("in minute %d, %d lines and %d events", minute, lines, events)
			}
			l.logs.TakeAll()
			clear(l.emitted)
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			if lines, events := l.left("log lines suppressed"), l.left(eventsSuppressed); l.logs.Len() != 2 || len(lines) != 1 || len(events) != 1 {
				t.Errorf("after minute %d, %d lines sum it up", minute, l.logs.Len())
			} else if lines[0]["fuse"] == 0 || lines[0]["breaker"] == 0 || events[0][eventFuseTripped] == 0 {
				t.Errorf("suppressed were %v and %v", lines[0], events[0])
			}
			l.logs.TakeAll()
		}
	})
}

func TestAConfigurationThatEndsSaysWhatItLeftOut(t *testing.T) {
	t.Parallel()
	l := listen(zapcore.InfoLevel)
	for i := range maxRejections + 7 {
		l.Attempted(rejection(i, true, true))
	}
	l.Retire()
	if got := l.left("log lines suppressed"); len(got) != 1 || got[0]["push rejected"] != 7 {
		t.Errorf("suppressed were %v", got)
	}
	l.Retire()
	if n := l.logs.FilterMessage("log lines suppressed").Len(); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}

func TestLinesThatAreLeftOutAreThereAtDebugLevel(t *testing.T) {
	t.Parallel()
	l := listen(zapcore.DebugLevel)
	for i := range 300 {
		l.Attempted(rejection(i, true, true))
	}
	if info, all := l.logs.FilterLevelExact(zapcore.InfoLevel).Len(), l.logs.Len(); info != maxRejections || all != 300 {
		t.Errorf("%d lines, of which %d at info level", all, info)
	}
	l.Retire()
}

func TestAFuseThatStrangersTripCallsNobody(t *testing.T) {
	t.Parallel()
	l := listen(zapcore.InfoLevel)
	for i := range 50 {
		l.FuseTripped("*", fmt.Sprintf("host%d.example", i), 20, false)
		l.FuseReset("*", fmt.Sprintf("host%d.example", i), false, false)
	}
	l.FuseTripped("", "", 20, false)
	if len(l.emitted) != 0 || l.logs.FilterLevelExact(zapcore.ErrorLevel).Len() != 0 {
		t.Errorf("%v was emitted, and the log has %v", l.emitted, l.logs.All())
	}
	warned := l.logs.FilterLevelExact(zapcore.WarnLevel).All()
	if len(warned) != 2 || !strings.Contains(warned[0].Message, "never got a push") {
		t.Errorf("warnings: %v", warned)
	}
	l.FuseTripped("*", "host1.example", 20, true)
	l.FuseReset("*", "host1.example", false, true)
	if l.emitted[eventFuseTripped] != 1 || l.emitted[eventFuseReset] != 1 || l.logs.FilterLevelExact(zapcore.ErrorLevel).Len() != 1 {
		t.Errorf("when devices that were delivered to die, %v was emitted", l.emitted)
	}
}

func TestARejectionCountsAsALossOnlyIfTheDeviceWasDeliveredTo(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	for i := range 10 {
		a := rejection(i, i < 4, true)
		if i == 0 {
			a.Result, a.Alarm = gateway.Queued, true // it is not believed
		}
		m.push(a)
	}
	var counted dto.Metric
	if err := m.lost.WithLabelValues("*", "unifiedpush").Write(&counted); err != nil {
		t.Fatal(err)
	}
	if n := counted.GetCounter().GetValue(); n != 3 {
		t.Errorf("%v are counted", n)
	}
}
