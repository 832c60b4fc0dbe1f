package apns

import (
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/reasontest"
)

// P16: a reason says nothing to an operator without its explanation.
func TestEachReasonIsExplainedAndOnThePage(t *testing.T) {
	t.Parallel()
	found := reasontest.In(t, ".", "../internal/apnsreason", "../kit/network")
	words := slices.DeleteFunc(found.Words, func(word string) bool { return word == "other_server" }) // a push goes to no other server
	if !slices.Equal(found.Prefixes, []string{"http_"}) {
		t.Errorf("unknown reasons begin with %v", found.Prefixes)
	}
	words = append(words, "http_400", "http_401", "http_403", "http_404", "http_405", "http_407", "http_410", "http_413", "http_422", "http_429")
	onPage := reasontest.OnPage(t, "../../docs/apns.md", "## What goes wrong, and how it shows")
	reasontest.Documented(t, onPage, words...)
	explain := new(Provider).Explain
	reasontest.Explained(t, explain, append(words, "http_500", "http_503", "http_418")...)
	engine := reasontest.OnPage(t, "../../docs/metrics.md", "### Reasons of the gateway")
	reasontest.Explained(t, explain, slices.DeleteFunc(onPage, func(word string) bool { return slices.Contains(engine, word) })...)
}
