package telemetry

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
)

// promtool runs Prometheus' own checker. If it is not installed, the test is skipped, but fails in CI.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	switch {
	case err != nil && os.Getenv("CI_REQUIRE_PROMTOOL") != "":
		t.Fatal(err)
	case err != nil:
		t.Skip("promtool is not installed (on Debian, it is in the package prometheus): what Prometheus says is not tested")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

func TestPrometheusTakesTheExamples(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "check", "config", prometheusFile) // and the rules that it names
}

func TestTheAlertsFireWhenTheyShall(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "test", "rules", rulesTestFile)
}

// exposition returns the gateway's metrics as they are served.
func exposition(t *testing.T) []byte {
	t.Helper()
	var text bytes.Buffer
	for _, family := range exposed(t) {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	return text.Bytes()
}

func TestTheMetricsAreAsPrometheusWantsThem(t *testing.T) {
	t.Parallel()
	problems, err := promlint.New(bytes.NewReader(exposition(t))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	promtool(t, exposition(t), "check", "metrics")
}

// values are the values of each label in the series made up for the dashboard. Any other label has one value.
var values = map[string][]string{
	"app":      {"org.example.*", unknownApp},
	"code":     {"200", "503"},
	"instance": {"push1:2019", "push2:2019"},
	"outcome":  {"delivered", "retry", "rejected", "doubted"},
}

// series returns one series for each combination of labels.
func series(labels []string) []string {
	all := []string{""}
	for _, label := range labels {
		choice := values[label]
		if choice == nil {
			choice = []string{"some"}
		}
		var more []string
		for _, begun := range all {
			for _, value := range choice {
				more = append(more, fmt.Sprintf("%s%s=%q,", begun, label, value))
			}
		}
		all = more
	}
	return all
}

// inputs returns series of all exported metrics, in the format of promtool's unit tests.
func inputs(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	write := func(name, labels, values string) {
		fmt.Fprintf(&text, "      - series: '%s{%s}'\n        values: %q\n", name, labels, values)
	}
	for name, m := range exported(t) {
		for _, labels := range series(append(target, m.labels...)) {
			switch m.kind {
			case "histogram":
				write(name+"_bucket", labels+`le="1"`, "0+6x60")
				write(name+"_bucket", labels+`le="+Inf"`, "0+8x60")
				write(name+"_count", labels, "0+8x60")
				write(name+"_sum", labels, "0+20x60")
			case "counter":
				write(name, labels, "0+6x60")
			default:
				write(name, labels, "1x60")
			}
		}
	}
	return text.String()
}

func TestEachQueryOfTheDashboardFindsSomething(t *testing.T) {
	t.Parallel()
	var rules, tests strings.Builder
	rules.WriteString("groups:\n  - name: panels\n    rules:\n")
	fmt.Fprintf(&tests, "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n%s    promql_expr_test:\n", inputs(t))
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			name := fmt.Sprintf("panel:%d:%s", p.ID, target.RefID)
			fmt.Fprintf(&rules, "      - record: %s\n        expr: %q\n", name, substituted(target.Expr))
			fmt.Fprintf(&tests, "      - expr: count(%s) > bool 0\n        eval_time: 30m\n        exp_samples: [{labels: '{}', value: 1}]\n", name)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"rules.yml": rules.String(), "test.yml": tests.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, nil, "check", "rules", filepath.Join(dir, "rules.yml"))
	promtool(t, nil, "test", "rules", filepath.Join(dir, "test.yml"))
}
