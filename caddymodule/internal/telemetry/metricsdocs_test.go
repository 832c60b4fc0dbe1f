package telemetry

import (
	"context"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/component"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

const metricsPage = "../../../docs/metrics.md"

// quoted matches the words in backquotes in a table's cell.
var quoted = regexp.MustCompile("`([^`]+)`")

// documented returns the rows of the page's tables whose header begins with a word: the other cells, by the first cell without backquotes.
func documented(t *testing.T, head string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string][]string)
	inside := false
	for line := range strings.Lines(string(text)) {
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		name := quoted.FindStringSubmatch(row[0])
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
		case row[0] == head:
			inside = true
		case inside && name != nil:
			if slices.Contains(row[1:2], "") && head != "metric" {
				t.Errorf("%s says nothing of %s", metricsPage, name[1])
			}
			key := name[1]
			if head == "alert" {
				key += " " + row[1] // an alert may have two severities
			}
			if rows[key] != nil {
				t.Errorf("%s has %s twice", metricsPage, key)
			}
			rows[key] = row[1:]
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no table of each %s", metricsPage, head)
	}
	return rows
}

// codes returns the texts in backquotes in a cell, in order.
func codes(cell string) (list []string) {
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return list
}

// compare reports what the page lacks, and what it has that does not exist.
func compare[V any](t *testing.T, what string, there []string, rows map[string]V) {
	t.Helper()
	for _, name := range there {
		if _, ok := rows[name]; !ok {
			t.Errorf("%s does not have the %s %s", metricsPage, what, name)
		}
	}
	for name := range rows {
		if !slices.Contains(there, name) {
			t.Errorf("%s has the %s %s, which there is not", metricsPage, what, name)
		}
	}
}

func TestThePageHasEachMetricAsItIsExported(t *testing.T) {
	t.Parallel()
	metrics, rows := exported(t), documented(t, "metric")
	compare(t, "metric", slices.Sorted(maps.Keys(metrics)), rows)
	for name, row := range rows {
		kind, labels, unit, meaning := row[0], codes(row[1]), row[2], row[3]
		if m := metrics[name]; kind != m.kind || !slices.Equal(labels, m.labels) {
			t.Errorf("%s is a %s with the labels %q, and documented as a %s with %q", name, m.kind, m.labels, kind, labels)
		}
		if unit == "" || meaning == "" || strings.Contains(name, "_seconds") != strings.HasPrefix(unit, "seconds") {
			t.Errorf("%s: the unit is %q, the meaning %q", name, unit, meaning)
		}
	}
}

func TestThePageHasEachResultAndOutcome(t *testing.T) {
	t.Parallel()
	var results []string
	for r := range len(gateway.Results{}) {
		results = append(results, gateway.Result(r).String())
	}
	compare(t, "result", results, documented(t, "result"))

	kinds := make(map[string]bool)
	for kind := range providers.Kind(100) { // beyond those that there are, it is the zero value's word again
		for _, alarm := range []bool{false, true} {
			for r := range len(gateway.Results{}) {
				a := gateway.Attempt{Outcome: providers.Outcome{Kind: kind}, Result: gateway.Result(r), Alarm: alarm}
				kinds[a.Kind()] = true
			}
		}
	}
	compare(t, "outcome", slices.Sorted(maps.Keys(kinds)), documented(t, "outcome"))
}

func TestThePageHasEachReasonAndAnswerOfXMPP(t *testing.T) {
	t.Parallel()
	var reasons, answers []string
	for name, value := range typedConstants(parsed(t, "."), "Alarm", "StanzaAnswer") {
		if strings.HasPrefix(name, "Answer") {
			answers = append(answers, value)
		} else {
			reasons = append(reasons, value)
		}
	}
	if len(reasons) < 10 || len(answers) < 5 {
		t.Fatalf("there are only the reasons %q and the answers %q", reasons, answers)
	}
	compare(t, "reason for refusing a push", reasons, documented(t, "reason for refusing a push"))
	compare(t, "answer to a stanza", answers, documented(t, "answer to a stanza"))
	kinds := append(constants(parsed(t, "../../xmpp"), "kind"), component.TooLarge, component.TooDeep, component.Malformed, component.NotStanza)
	compare(t, "kind", kinds, documented(t, "kind"))
}

func TestThePageHasEachOperationOfAStoreThatMayFail(t *testing.T) {
	t.Parallel()
	var operations []string
	for _, list := range said(parsed(t, "../.."), "StoreFailed", "failed", "change") {
		for _, doing := range list {
			operations = append(operations, strings.ReplaceAll(doing, " ", "_"))
		}
	}
	compare(t, "operation", operations, documented(t, "operation"))
}

func TestThePageHasEachAlert(t *testing.T) {
	t.Parallel()
	var alerts []string
	for _, a := range readAlerts(t) {
		alerts = append(alerts, a.name+" "+a.severity)
	}
	compare(t, "alert", alerts, documented(t, "alert"))
}

func TestThePageHasEachEventWithItsData(t *testing.T) {
	t.Parallel()
	emitted := make(map[string][]string)
	o := &Observer{logger: zap.NewNop(), emit: func(name string, data map[string]any) { emitted[name] = slices.Sorted(maps.Keys(data)) }}
	app := &gateway.App{Pattern: "a", ProviderName: "apns"}
	o.Attempted(gateway.Attempt{App: app, Outcome: providers.Rejected("gone"), Result: gateway.Rejected})
	o.Attempted(gateway.Attempt{App: app, Outcome: providers.Misconfigured("http_403", nil), Result: gateway.Queued, Alarm: true})
	o.BreakerOpened(app, "")
	o.BreakerClosed(app, "")
	o.AppFailing(app, gateway.Failing{Reason: "dns", Host: "push.example.org:443"})
	o.AppRecovered(app)
	o.FuseTripped("a", "host", 20, true)
	o.FuseReset("a", "host", false, true)
	o.credentialExpires(app, time.Now())
	c := NewComponent("push.example.org")
	t.Cleanup(c.Close)
	c.Use(o)
	c.Up()
	c.Down(component.Failure{Reason: component.Closed, Online: true})
	if names, all := slices.Sorted(maps.Keys(emitted)), slices.Sorted(slices.Values(constants(parsed(t, "."), "event"))); !slices.Equal(names, all) {
		t.Fatalf("this test emits %q, and there are %q", names, all)
	}
	rows := documented(t, "event")
	compare(t, "event", slices.Sorted(maps.Keys(emitted)), rows)
	for name, row := range rows {
		if data := codes(row[0]); !slices.Equal(data, emitted[name]) {
			t.Errorf("%s has the data %q, and is documented with %q", name, emitted[name], data)
		}
	}
}

func TestThePageHasEachFieldAndPlaceholderOfTheAccessLog(t *testing.T) {
	t.Parallel()
	extra, repl := new(caddyhttp.ExtraLogFields), caddy.NewReplacer()
	ctx := context.WithValue(context.WithValue(t.Context(), caddyhttp.ExtraLogFieldsCtxKey, extra), caddy.ReplacerCtxKey, repl)
	AccessLogOf(ctx, nil).Answered(1, gateway.Results{})
	var fields []string
	for list, i := reflect.ValueOf(extra).Elem().FieldByName("fields"), 0; i < list.Len(); i++ {
		fields = append(fields, list.Index(i).FieldByName("Key").String())
	}
	compare(t, "field", fields, documented(t, "field"))

	names := []string{"{http.matrix_push.devices}"}
	for r := range len(gateway.Results{}) {
		names = append(names, fmt.Sprintf("{http.matrix_push.%s}", gateway.Result(r)))
	}
	for _, name := range names {
		if _, ok := repl.Get(strings.Trim(name, "{}")); !ok {
			t.Errorf("there is no placeholder %s", name)
		}
	}
	compare(t, "placeholder", names, documented(t, "placeholder"))
}

func TestThePageHasEachAttributeOfASpan(t *testing.T) {
	t.Parallel()
	attributes := said(parsed(t, "../gateway"), "String", "Int", "Int64", "Bool", "StringSlice")
	compare(t, "attribute", slices.Concat(slices.Collect(maps.Values(attributes))...), documented(t, "attribute"))
}

func TestThePageHasEachMessageOfTheLog(t *testing.T) {
	t.Parallel()
	rows := documented(t, "message")
	var messages []string
	for level, list := range said(parsed(t, "../..", "../../../internal", "../../../outbox", "../../../providers", "../../../rejected"), "Error", "Warn", "Info") {
		for _, message := range list {
			messages = append(messages, message)
			if row, ok := rows[message]; ok && row[0] != strings.ToLower(level) {
				t.Errorf("%q is logged at level %s, and documented as %s", message, strings.ToLower(level), row[0])
			}
		}
	}
	compare(t, "message", messages, rows)
}
