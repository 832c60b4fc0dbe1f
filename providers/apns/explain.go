package apns

import (
	"cmp"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

const (
	// nothingToDo is the reason for a notification without anything to send, and notForPushType for one that the topic is not for.
	nothingToDo    = "nothing_to_do"
	notForPushType = "not_for_push_type"

	appleFails = "Apple's service has a problem: the push is retried"
	onlyThis   = "Apple refuses only this push: report a bug if this happens often"
)

// meanings explain the reasons for which hints does not say enough, as docs/apns.md does.
var meanings = map[string]string{
	"credential": "the certificate has expired, or no token can be signed with the key: replace the file",

	"unregistered":     "the app was removed from the device, or has a new token: the client must register again",
	"expired_token":    "the token has expired: the client must register again",
	"bad_device_token": "the token does not belong to the configured environment: if every push fails so, change environment",
	"http_410":         "Apple reports a dead token, with an undocumented reason: the client must register again",
	undecodable:        "the pushkey is neither hexadecimal nor base64, so it is not Apple's: check which client registered it",

	"too_many_requests":     "the device got more pushes than Apple allows: the push is retried later",
	"internal_server_error": appleFails,
	"service_unavailable":   appleFails,
	"shutdown":              appleFails,
	"idle_timeout":          appleFails,

	nothingToDo:         "the notification has no alert and no counts, so there is nothing to send: nothing is wrong",
	notForPushType:      "the push has only counts, and the topic is for another kind of push: set badges off",
	"payload_too_large": "the payload is too large, even with only ids and counts",

	"bad_collapse_id":      onlyThis,
	"bad_expiration_date":  onlyThis,
	"bad_message_id":       onlyThis,
	"duplicate_headers":    onlyThis,
	"missing_device_token": onlyThis,
	"payload_empty":        onlyThis,
	"http_400":             onlyThis,
	"http_413":             onlyThis,
	"http_422":             onlyThis,

	"http_429": "Apple, or a proxy, limits the device: the push is retried later",
}

// Explain returns what a reason means and what to do about it.
func (*Provider) Explain(reason string) string {
	means := cmp.Or(meanings[reason], hints[reason], network.Explain(reason))
	switch {
	case means != "" || !strings.HasPrefix(reason, "http_"):
		return means
	case strings.HasPrefix(reason, "http_5"):
		return appleFails
	default:
		return "Apple gives no reason that is documented, or a proxy answered: look the word up; check endpoint and proxy"
	}
}
