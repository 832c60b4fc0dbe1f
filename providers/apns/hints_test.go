package apns

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

func TestEachReasonForTheOperatorHasAHint(t *testing.T) {
	t.Parallel()
	for _, v := range apnsreason.Verdicts {
		if v.Kind == providers.KindMisconfigured && hints[v.Reason] == "" {
			t.Errorf("%s has none", v.Reason)
		}
	}
	for kind := providers.KindRetry; kind <= providers.KindMisconfigured; kind++ {
		if kind != providers.KindDelivered && hintsByKind[kind] == "" {
			t.Errorf("%s has none", kind)
		}
	}
}

var quoted = regexp.MustCompile("`([a-z_.-]+)`")

// The table of docs/apns.md and the hints are to say the same: each option that a row names is in the hint.
func TestAHintNamesTheOptionsThatTheDocsName(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/apns.md")
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
				if option[1] != "error" && !strings.Contains(hints[reason[1]], option[1]) {
					t.Errorf("the hint for %s does not name %s: %s", reason[1], option[1], hints[reason[1]])
				}
			}
		}
	}
	for _, v := range apnsreason.Verdicts {
		if v.Kind == providers.KindMisconfigured && !slices.Contains(documented, v.Reason) {
			t.Errorf("%s is not in the docs", v.Reason)
		}
	}
}
