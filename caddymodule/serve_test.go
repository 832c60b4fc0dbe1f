package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Guards against header values that requests share: Caddy's directive header replaces parts of a value in place, and adds to a header.
func TestWhatIsChangedInAnAnswersHeaderIsOnlyInThisAnswer(t *testing.T) {
	t.Parallel()
	for range 2 {
		w := httptest.NewRecorder()
		write(w, http.StatusOK, []byte("0123456789"))
		header := w.Header()
		header.Add("Content-Type", "text/plain")
		if got := header.Get("Content-Length"); got != "10" {
			t.Errorf("Content-Length is %s", got)
		}
		if got := header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type is %s", got)
		}
		for _, values := range header {
			values[0] = "changed"
		}
	}
}
