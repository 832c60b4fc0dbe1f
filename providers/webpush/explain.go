package webpush

import (
	"cmp"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
)

// reasons are the reasons that only this provider gives, with what they mean and what to do about them.
var reasons = map[string]string{
	badSubscription: "the pusher has no usable endpoint, p256dh or auth: correct the client, which must subscribe again",
	eventsOnly:      "the notification has no event, and the pusher has events_only: nothing is wrong",
}

// Explain returns what a reason means and what to do about it.
func (*Provider) Explain(reason string) string {
	return cmp.Or(reasons[reason], webpushmessage.Explain(reason))
}
