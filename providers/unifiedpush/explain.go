package unifiedpush

import (
	"cmp"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
)

// reasons are the reasons that mean something else than with other providers.
var reasons = map[string]string{
	badEndpoint:     "the pushkey is not an https URL that a push server can have: correct the push server's address in the client",
	badSubscription: "the pusher's data has only one of p256dh and auth, or an invalid one: correct the client",
}

// Explain returns what a reason means and what to do about it.
func (*Provider) Explain(reason string) string {
	return cmp.Or(reasons[reason], webpushmessage.Explain(reason))
}
