package fcm

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

// fromTables are all verdicts in the tables.
func fromTables() (verdicts []verdict) {
	for _, table := range []map[string]verdict{codes, statuses} {
		verdicts = slices.AppendSeq(verdicts, maps.Values(table))
	}
	for _, v := range apnsreason.Verdicts {
		verdicts = append(verdicts, verdict{kind: v.Kind, reason: applePrefix + v.Reason, doubtful: v.Doubtful})
	}
	return verdicts
}

func TestEachReasonForTheOperatorHasAHint(t *testing.T) {
	t.Parallel()
	for _, v := range fromTables() {
		if hint := hintFor(providers.Outcome{Kind: v.kind, Reason: v.reason}); v.kind == providers.KindMisconfigured && hint == hintsByKind[v.kind] {
			t.Errorf("%s has none", v.reason)
		}
	}
	for reason := range appleHints {
		if !slices.ContainsFunc(fromTables(), func(v verdict) bool { return v.reason == applePrefix+reason }) {
			t.Errorf("there is a hint for %s, and no such reason", reason)
		}
	}
	for _, kind := range []providers.Kind{providers.KindRetry, providers.KindDropped, providers.KindMisconfigured} {
		if hintsByKind[kind] == "" {
			t.Errorf("%s has none", kind)
		}
	}
}

var quoted = regexp.MustCompile("`([a-z_.-]+)`")

// The hints must name the options that the table of docs/fcm.md names for each reason.
func TestAHintNamesTheOptionsThatTheDocsName(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/fcm.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "### Push misconfigured\n")
	section, _, _ = strings.Cut(section, "\n### ")
	var documented []string
	for row := range strings.Lines(section) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			continue
		}
		for _, reason := range quoted.FindAllStringSubmatch(cells[1], -1) {
			documented = append(documented, reason[1])
			for _, option := range quoted.FindAllStringSubmatch(cells[2]+cells[3], -1) {
				hint := hintFor(providers.Outcome{Kind: providers.KindMisconfigured, Reason: reason[1]})
				if option[1] != "error" && !strings.Contains(hint, option[1]) {
					t.Errorf("the hint for %s does not name %s: %s", reason[1], option[1], hint)
				}
			}
		}
	}
	for _, v := range fromTables() {
		if v.kind == providers.KindMisconfigured && !slices.Contains(documented, v.reason) {
			t.Errorf("%s is not in the docs", v.reason)
		}
	}
}

func TestEachReasonIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/fcm.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range fromTables() {
		if !strings.Contains(string(page), "`"+v.reason+"`") {
			t.Errorf("%s is not in the docs", v.reason)
		}
	}
}
