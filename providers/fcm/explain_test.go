package fcm

import (
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/reasontest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

// P16: a reason says nothing to an operator without its explanation.
func TestEachReasonIsExplainedAndOnThePage(t *testing.T) {
	t.Parallel()
	found := reasontest.In(t, ".")
	network := slices.DeleteFunc(reasontest.In(t, "../kit/network").Words, func(word string) bool { return word == "other_server" })
	if !slices.Equal(found.Prefixes, []string{"apns_", "http_", "token_"}) {
		t.Errorf("unknown reasons begin with %v", found.Prefixes)
	}
	words := append(found.Words, network...)
	for _, word := range network {
		words = append(words, "token_"+word)
	}
	for _, v := range apnsreason.Verdicts {
		words = append(words, applePrefix+v.Reason)
	}
	words = append(words, "http_403", "http_404")
	onPage := reasontest.OnPage(t, "../../docs/fcm.md", "## What goes wrong, and how it shows")
	reasontest.Documented(t, onPage, words...)
	explain := new(Provider).Explain
	reasontest.Explained(t, explain, append(words, "http_400", "http_429", "http_500")...)
	engine := reasontest.OnPage(t, "../../docs/metrics.md", "### Reasons of the gateway")
	reasontest.Explained(t, explain, slices.DeleteFunc(onPage, func(word string) bool { return slices.Contains(engine, word) })...)
}
