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

// The hints must name the options that the table of docs/apns.md names for each reason.
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

// Each reason must be on the provider's page, with its meaning or what to do.
func TestEachReasonHasARowOnThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/apns.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What goes wrong")
	section, _, _ = strings.Cut(section, "### The configuration does not load")
	reasons := []string{"credential", "certificate_refused", undecodable, "nothing_to_do", "not_for_push_type", "payload_too_large"}
	for _, v := range apnsreason.Verdicts {
		reasons = append(reasons, v.Reason)
	}
	for _, status := range []int{400, 401, 403, 404, 410, 413, 422, 429} {
		reasons = append(reasons, byStatus(status, true).Reason)
	}
	for _, reason := range reasons {
		row := slices.ContainsFunc(strings.Split(section, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "| ") && strings.Contains(line, "`"+reason+"`")
		})
		if !row {
			t.Errorf("%s has no row", reason)
		}
	}
}

func TestACheckShowsApplesOwnWord(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"BadEnvironmentKeyInToken", "InvalidPushType", "SomethingNew"} {
		o := answer{status: 403, reason: reason}.outcome()
		if err := checked(o); err == nil || !strings.HasPrefix(err.Error(), o.Reason) || !strings.Contains(err.Error(), " ("+reason+")") {
			t.Errorf("it found %v", err)
		}
	}
	o := answer{status: 403, reason: "a secret/token"}.outcome()
	if err := checked(o); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("it found %v", err)
	}
}
