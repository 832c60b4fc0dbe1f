package fcm

import (
	"cmp"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

const (
	// nothingToDo is the reason for a notification without anything to send.
	nothingToDo = "nothing_to_do"

	fcmFails = "FCM has a problem: the push is retried"
)

// meanings explain the reasons for which hints does not say enough, as docs/fcm.md does.
var meanings = map[string]string{
	unregistered:    "the app was removed from the device, or has a new token: the client must register again",
	"invalid_token": "FCM does not know the pushkey as a token: if every push fails so, check project_id, target and the app's pattern",
	badToken:        "the pushkey is blank, or has white space or control characters, so it is not a token: check which client registered it",

	"token_unavailable": "Google's token endpoint fails: the push is retried",

	"unavailable":       fcmFails,
	"internal":          fcmFails,
	"unspecified_error": fcmFails,

	nothingToDo: "the notification has no ids, no counts and nothing to show, so there is nothing to send: nothing is wrong",
	"too_large": "the message is too large, even in its smallest form: shorten the option notification, if it is set",

	"http_429": "the project or the device got more messages than FCM allows: the push is retried later",
}

// appleMeanings are the same for reasons that APNs gives through FCM. The rest is in appleHints.
var appleMeanings = map[string]string{
	"unregistered":     "Apple reports that the app was removed from the device: the client must register again",
	"expired_token":    "Apple reports that the token has expired: the client must register again",
	"bad_device_token": "Apple does not know the token: if every push fails so, Firebase mixes up development and production",
	"device_token_not_for_topic": "Apple reports that the token is another app's: if every push fails so, correct the bundle ID " +
		"in Firebase",
}

// Explain returns what a reason means and what to do about it.
func (*Provider) Explain(reason string) string {
	if apple, ok := strings.CutPrefix(reason, applePrefix); ok {
		return explainApple(apple)
	}
	means := cmp.Or(meanings[reason], hints[reason], network.Explain(reason))
	switch {
	case means != "" || !strings.HasPrefix(reason, "http_"):
		return means
	case strings.HasPrefix(reason, "http_4"):
		return "the answer is not Google's: check endpoint and proxy"
	default:
		return fcmFails
	}
}

// explainApple explains a reason of APNs.
func explainApple(reason string) string {
	if means := cmp.Or(appleMeanings[reason], appleHints[reason]); means != "" {
		return means
	}
	for _, v := range apnsreason.Verdicts {
		switch {
		case v.Reason != reason:
		case v.Kind == providers.KindRetry:
			return "Apple has a problem, or asks FCM to wait: the push is retried"
		case v.Kind == providers.KindDropped:
			return "Apple refuses only this push: if this happens often, check the option apns"
		default:
			return appleOther
		}
	}
	return ""
}
