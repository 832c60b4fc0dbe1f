package webpush

import (
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/reasontest"
)

// P16: a reason says nothing to an operator without its explanation.
func TestEachReasonIsExplainedAndOnThePage(t *testing.T) {
	t.Parallel()
	found := reasontest.In(t, ".", "../internal/webpushmessage", "../internal/pushword", "../kit/endpoint", "../kit/network")
	words := slices.DeleteFunc(found.Words, func(word string) bool {
		return word == "other_server" || word == "bad_endpoint" // kit/service gives the one, and Usable comes before the other
	})
	if !slices.Equal(found.Prefixes, []string{"http_"}) {
		t.Errorf("unknown reasons begin with %v", found.Prefixes)
	}
	words = append(words, "http_401", "http_403", "http_408", "http_425")
	onPage := reasontest.OnPage(t, "../../docs/webpush.md", "## What goes wrong, and how it shows")
	reasontest.Documented(t, onPage, words...)
	explain := new(Provider).Explain
	reasontest.Explained(t, explain, words...)
	engine := reasontest.OnPage(t, "../../docs/metrics.md", "### Reasons of the gateway")
	reasontest.Explained(t, explain, slices.DeleteFunc(onPage, func(word string) bool { return slices.Contains(engine, word) })...)
}
