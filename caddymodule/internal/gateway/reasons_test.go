package gateway

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/reasontest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// P16: a reason says nothing to an operator without its explanation.
func TestEachReasonOfTheEngineIsExplainedAndDocumentedInTheSameWords(t *testing.T) {
	t.Parallel()
	found := reasontest.In(t, ".")
	reasontest.Explained(t, func(reason string) string { return Reasons[reason] }, found.Words...)
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range slices.Sorted(maps.Keys(Reasons)) {
		if !slices.Contains(found.Words, reason) {
			t.Errorf("there is an explanation for %s, and no such reason", reason)
		}
		if row := fmt.Sprintf("| `%s` | %s |\n", reason, Reasons[reason]); !strings.Contains(string(page), row) {
			t.Errorf("docs/metrics.md does not have the row %s", row)
		}
	}
}

// explained is a provider that explains its reasons.
type explained struct{ *scripted }

func (explained) Explain(reason string) string { return "what " + reason + " means" }

func TestAReasonHasItsExplanationWhereverTheOperatorSeesIt(t *testing.T) {
	t.Parallel()
	app := appFor("app", explained{byPushkey(map[string]providers.Outcome{
		"dead": providers.Rejected("gone"), "wrong": providers.Misconfigured("bad_topic", nil),
	})})
	r := newRig(t, app)
	r.notify(event("$1", device("dead"), device("wrong")))

	e, err := r.Explain(t.Context(), rejected.KeyOf("app", "dead"), Described{AppID: "app"})
	if err != nil || e.Record.Explanation != "what gone means" || e.Last.Explanation != "what gone means" {
		t.Errorf("explained as %+v: %v", e, err)
	}
	request, _ := Decode([]byte(event("$2", device("wrong"))), 1)
	if trial, err := r.Try(t.Context(), request, Address{}); err != nil || trial.Explanation != "what bad_topic means" {
		t.Errorf("tried as %+v: %v", trial, err)
	}
	status := r.Status(t.Context())
	if len(status[0].Troubles) != 1 || status[0].Troubles[0].Explanation != "what bad_topic means" {
		t.Errorf("the troubles are %+v", status[0].Troubles)
	}
	if degraded := r.Degradations(status); len(degraded) != 1 || degraded[0].Explanation != "what bad_topic means" {
		t.Errorf("degraded are %+v", degraded)
	}
	for reason, want := range map[string]string{"breaker_open": "what breaker_open means", "made_up": "what made_up means"} {
		if got := app.Explain(reason); got != want {
			t.Errorf("%s means %q", reason, got)
		}
	}
	plain := appFor("plain", always(providers.Delivered()))
	if plain.Explain("breaker_open") != Reasons["breaker_open"] || plain.Explain("made_up") != "" {
		t.Error("the engine does not explain its own reasons, or explains others")
	}
}
