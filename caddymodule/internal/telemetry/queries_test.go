package telemetry

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// These match the gateway's names in a PromQL expression. Promtool checks that the expression is valid.
var (
	selectors = regexp.MustCompile(`\b(caddy_\w+|matrix_push:\w+)(?:\{([^}]*)\})?`)
	matchers  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`)
	groupings = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	words     = regexp.MustCompile(`\w+`)
)

// query is what an expression queries.
type query struct {
	// metrics are the exported metrics that it names, and labels all labels that any of them has.
	metrics, labels []string
	// kept are the labels by which the expression groups; all of them if it does not group.
	kept []string
}

// target are the labels that Prometheus adds.
var target = []string{"instance", "job"}

// ask parses an expression and reports what is wrong with it.
func ask(expr string, metrics map[string]metric) (q query, wrong []string) {
	for _, s := range selectors.FindAllStringSubmatch(expr, -1) {
		name, labels := find(s[1], metrics)
		if labels == nil || name == s[1] && metrics[name].kind == "histogram" {
			wrong = append(wrong, fmt.Sprintf("no series %s is exported", s[1]))
			continue
		}
		q.metrics = append(q.metrics, name)
		q.labels = append(q.labels, labels...)
		for _, m := range matchers.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(labels, m[1]) {
				wrong = append(wrong, fmt.Sprintf("%s has no label %s", s[1], m[1]))
			}
		}
	}
	for _, g := range groupings.FindAllStringSubmatchIndex(expr, -1) {
		grouped := expr
		if keyword := expr[g[0]:]; strings.HasPrefix(keyword, "by") || strings.HasPrefix(keyword, "without") {
			grouped = operand(expr[g[1]:])
		}
		for _, label := range words.FindAllString(expr[g[2]:g[3]], -1) {
			q.kept = append(q.kept, label)
			for _, s := range selectors.FindAllStringSubmatch(grouped, -1) {
				name, known := find(s[1], metrics)
				if known == nil {
					continue // reported above
				}
				if _, labels := find(name, metrics); label != "le" && !slices.Contains(labels, label) {
					wrong = append(wrong, fmt.Sprintf("grouped by %s, which %s does not have", label, name))
				}
			}
		}
	}
	if q.kept == nil {
		q.kept = q.labels
	}
	return q, wrong
}

// operand returns the expression in parentheses with which a text begins.
func operand(text string) string {
	open := 0
	for i, c := range text {
		switch c {
		case '(':
			open++
		case ')':
			if open--; open == 0 {
				return text[:i+1]
			}
		}
	}
	return text
}

// find returns the metric that a series belongs to, with the labels of the series; nil if there is none.
func find(series string, metrics map[string]metric) (name string, labels []string) {
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		name, found := strings.CutSuffix(series, suffix)
		m, ok := metrics[name]
		if !found || !ok || suffix != "" && m.kind != "histogram" {
			continue
		}
		labels = slices.Concat(m.labels, target)
		if suffix == "_bucket" {
			labels = append(labels, "le")
		}
		return name, labels
	}
	return "", nil
}

func TestQueriesAreTakenApart(t *testing.T) {
	t.Parallel()
	metrics := map[string]metric{"caddy_n_total": {"counter", []string{"app", "code"}}, "caddy_d": {"histogram", []string{"app"}}}
	for _, tt := range []struct{ name, expr, wrong string }{
		{"a counter", `sum by (app, instance) (rate(caddy_n_total{code=~"5..", job="a"}[5m]))`, ""},
		{"a histogram", `histogram_quantile(0.9, sum by (le, app) (rate(caddy_d_bucket{le!="+Inf"}[5m]))) / sum(caddy_d_count)`, ""},
		{"a metric that there is not", `rate(caddy_m_total[5m])`, "no series caddy_m_total is exported"},
		{"a histogram as such", `rate(caddy_d[5m])`, "no series caddy_d is exported"},
		{"a bucket of a counter", `rate(caddy_n_total_bucket[5m])`, "no series caddy_n_total_bucket is exported"},
		{"a matcher that matches nothing", `caddy_n_total{provider="apns"}`, "caddy_n_total has no label provider"},
		{"a grouping that drops everything", `sum by (provider) (caddy_n_total)`, "grouped by provider, which caddy_n_total does not have"},
		{"metrics that are grouped by their own labels", `sum by (code) (rate(caddy_n_total[5m])) unless on () (sum by (app) (caddy_d_sum) > 1)`, ""},
		{"a grouping of the second one", `sum by (app) (caddy_n_total) and on () sum by (code) (caddy_d_sum)`, "grouped by code, which caddy_d does not have"},
		{"one metric has what the other has not", `caddy_n_total / on (code) caddy_d_sum`, "grouped by code, which caddy_d does not have"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, wrong := ask(tt.expr, metrics); strings.Join(wrong, "; ") != tt.wrong {
				t.Errorf("got %q, want %q", wrong, tt.wrong)
			}
		})
	}
}

// unused returns the metrics that none of the queries names.
func unused(metrics map[string]metric, used []string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(metrics)), func(name string) bool { return slices.Contains(used, name) })
}
