package unifiedpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
)

// These are the common test helpers of both providers of push messages, by their names here.
var (
	golden     = messagetest.Golden
	newContext = messagetest.NewContext
	alert      = messagetest.Alert
	badge      = messagetest.Badge
	pushOf     = messagetest.PushOf
	want       = messagetest.Want
)

// newProvider returns a live provider that trusts the authority and may reach loopback.
func newProvider(t *testing.T, caFile string) *Provider {
	t.Helper()
	p := &Provider{Options: webpushmessage.Options{Options: messagetest.Options(caFile), VapidSubject: "mailto:ops@example.org"}}
	t.Cleanup(func() {
		if err := p.Cleanup(); err != nil {
			t.Errorf("Cleanup: %v", err)
		}
	})
	if err := p.Provision(newContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}
