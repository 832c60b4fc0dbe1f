package xmpp

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

// metrics returns the metrics of a component, by their labels.
func metrics(t *testing.T, jid string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := telemetry.RegisterXMPP(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels, mine := "", false
			for _, l := range m.GetLabel() {
				mine = mine || l.GetName() == "component" && l.GetValue() == jid
				if l.GetName() != "component" {
					labels += " " + l.GetValue()
				}
			}
			if mine {
				values[strings.TrimPrefix(family.GetName(), "caddy_matrix_push_xmpp_")+labels] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return values
}

func TestX34_NothingThatASenderSentIsShown(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	core, lines := observer.New(zapcore.DebugLevel)
	r := newRig(t)
	r.status.Close()
	r.status = telemetry.NewComponent("canaries.example.test")
	t.Cleanup(r.status.Close)
	var events []string
	r.status.Use(telemetry.NewObserver(zap.New(core), func(name string, data map[string]any) { events = append(events, fmt.Sprint(name, data)) }))
	r.status.Up()
	payload := base64.StdEncoding.EncodeToString([]byte(canary))
	for _, p := range []fmt.Stringer{
		publishing{node: canary, secret: canary, module: canary, body: canary},
		publishing{node: "s1." + canary, secret: canary},
		publishing{node: canary, body: canary, more: `<encrypted xmlns='tigase:push:encrypt:0' iv='canary'>canary</encrypted>`},
		publishing{node: canary, from: canary + "@example.test/" + canary},
		text(strings.Replace(publishing{node: canary}.String(), "urn:xmpp:push:0", canary, 1)),
		text(strings.ReplaceAll(registration("fcm"), "TOKEN", canary)),
		text(strings.ReplaceAll(registration(canary), "TOKEN", canary)),
		push2{client: "https://push.example.test/" + canary, payload: payload},
		push2{client: canary, more: "<canary/>"},
		push2{client: canary, payload: "!" + canary},
	} {
		r.Handle(t.Context(), []byte(p.String()), r.reply)
	}
	r.pushes.Close(t.Context())
	close(r.answers)
	for e := range r.answers {
		if strings.Contains(e.Inner, canary) {
			t.Errorf("an answer shows it: %s", e.Inner)
		}
	}
	shown, _ := json.Marshal(r.status.Status())
	for _, l := range lines.All() {
		shown = append(shown, fmt.Sprint(l.Message, l.ContextMap())...)
	}
	shown = append(shown, fmt.Sprint(events, metrics(t, "canaries.example.test"))...)
	if strings.Contains(string(shown), canary+" ") || strings.Contains(string(shown), canary+`"`) || strings.Contains(string(shown), "/"+canary) {
		t.Errorf("it is shown: %s", shown)
	}
	if lines.Len() == 0 || len(events) == 0 {
		t.Errorf("there are %d lines and the events %s", lines.Len(), events)
	}
}

func TestX35_StanzasAreCountedByTheirAnswers(t *testing.T) {
	t.Parallel()
	jid := rand.Text() // the metrics are the process's
	r := newRig(t)
	r.status.Close()
	r.status = telemetry.NewComponent(jid)
	t.Cleanup(r.status.Close)
	r.status.Use(telemetry.NewObserver(zap.NewNop(), func(string, map[string]any) {}))
	r.want(publishing{node: "t"}, "result")
	r.want(publishing{node: "rejected"}, gone)
	r.want(publishing{node: "unavailable"}, wait)
	r.want(publishing{node: "t", from: "alice@example.test"}, forbidden)
	r.want(publishing{}, wait)
	r.ask(registration("fcm"))
	r.status.Up()
	r.Handle(t.Context(), []byte(`<presence from='alice@example.test/phone' to='`+serviceJID+`'/>`), r.reply)
	got := metrics(t, jid)
	for name, want := range map[string]float64{
		"stanzas_total result publish": 1, "stanzas_total item_not_found publish": 1, "stanzas_total wait publish": 2,
		"stanzas_total forbidden publish": 1, "stanzas_total result command": 1, "stanzas_total none other": 1,
		"pushes_refused_total node_missing": 1, "connections_total": 1, "component_up": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v, in %v", name, got[name], want, got)
		}
	}
}

func TestX21_AnAlarmIsLoggedOnceAMinuteWhoeverCausesIt(t *testing.T) {
	t.Parallel()
	core, lines := observer.New(zapcore.DebugLevel)
	r := newRig(t)
	r.status.Use(telemetry.NewObserver(zap.New(core), func(string, map[string]any) {}))
	r.service.domains.denied = []string{"*.test"}
	for i := range 1000 {
		r.want(publishing{node: "t", from: fmt.Sprintf("d%d.test", i)}, wait)
	}
	if lines.Len() != 1 {
		t.Fatalf("there are %d lines", lines.Len())
	}
	fields := lines.All()[0].ContextMap()
	if lines.All()[0].Level != zapcore.ErrorLevel || fields["component"] != serviceJID || fields["domain"] != "d0.test" || fields["hint"] == "" {
		t.Errorf("the line has %v", fields)
	}
	if got := r.alarms(); got != "domain_denied d999.test 1000" {
		t.Errorf("the alarms are %s", got)
	}
}
