package telemetry

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	rulesFile      = "../../../examples/prometheus/matrix-push.rules.yml"
	rulesTestFile  = "../../../examples/prometheus/matrix-push.rules.test.yml"
	prometheusFile = "../../../examples/prometheus/prometheus.yml"
)

// alert is a rule in the rules file.
type alert struct {
	name, severity string
	// expr is the expression, and text the whole rule.
	expr, text string
}

// These match the parts of a rule in the file's layout; promtool checks that the file is valid YAML with the same meaning.
var (
	ruleSeverity = regexp.MustCompile(`(?m)^ {10}severity: (\S+)$`)
	ruleExpr     = regexp.MustCompile(`(?m)^ {8}expr: (?:\|\n)?((?s).*?)\n {8}(?:for|labels):`)
	ruleLabels   = regexp.MustCompile(`\$labels\.(\w+)`)
	rulePages    = regexp.MustCompile(`docs/\w+\.md`)
)

func readAlerts(t *testing.T) (alerts []alert) {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.Split(string(text), "\n      - ")
	for _, rule := range rules[1:] {
		name, found := strings.CutPrefix(rule[:strings.Index(rule, "\n")], "alert: ")
		severity, expr := ruleSeverity.FindStringSubmatch(rule), ruleExpr.FindStringSubmatch(rule)
		if !found || severity == nil || expr == nil {
			t.Fatalf("a rule is not an alert with an expression and a severity:\n%s", rule)
		}
		alerts = append(alerts, alert{name, severity[1], expr[1], rule})
	}
	return alerts
}

func TestTheAlertsAskForWhatIsExported(t *testing.T) {
	t.Parallel()
	metrics := exported(t)
	for _, a := range readAlerts(t) {
		q, wrong := ask(a.expr, metrics)
		for _, w := range wrong {
			t.Errorf("%s: %s", a.name, w)
		}
		if q.metrics == nil { // up
			q.kept = target
		}
		for _, m := range ruleLabels.FindAllStringSubmatch(a.text, -1) {
			if !slices.Contains(q.kept, m[1]) {
				t.Errorf("%s: an annotation names the label %s, which the expression does not keep", a.name, m[1])
			}
		}
	}
}

func TestEachAlertSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, a := range readAlerts(t) {
		if !strings.HasPrefix(a.name, "MatrixPush") || a.severity != "warning" && a.severity != "critical" {
			t.Errorf("%s has the severity %s", a.name, a.severity)
		}
		if !strings.Contains(a.text, "          summary: ") || !strings.Contains(a.text, "          description: ") || !rulePages.MatchString(a.text) {
			t.Errorf("%s lacks a summary, a description, or the page that says more", a.name)
		}
	}
}

func TestEachAlertIsTestedToFireAndToBeSilent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(rulesTestFile)
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(text), "\n      - eval_time: ")[1:]
	for _, a := range readAlerts(t) {
		var fires, silent bool
		for _, c := range cases {
			if strings.Contains(c, "alertname: "+a.name+"\n") {
				fires = fires || strings.Contains(c, "severity: '"+a.severity+"'")
				silent = silent || strings.Contains(c, "exp_alerts: []")
			}
		}
		if !fires || !silent {
			t.Errorf("%s (%s) is tested to fire: %v, to be silent: %v", a.name, a.severity, fires, silent)
		}
	}
}
