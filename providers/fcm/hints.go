package fcm

import (
	"cmp"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	unreachable       = "FCM cannot be reached: look at endpoint and proxy, and at the firewall"
	googleUnreachable = "Google's token endpoint cannot be reached: look at proxy and the firewall, and at the token_uri of the credentials"
)

// hints say to the operator what a reason means and what to do about it, as docs/fcm.md does.
var hints = map[string]string{
	"credentials_refused": "the key was deleted, the account disabled, or the server's clock is wrong: get a new key; set the clock",
	"unauthenticated":     "FCM takes no access token, not even a fresh one: get a new key; set the clock; look at endpoint and proxy",
	"permission_denied": "the account may not send for this project, or the API is not enabled: give it the role " +
		"Firebase Cloud Messaging API Admin; enable the API; look at project_id",
	"not_found":              "there is no such project: set project_id to the ID, neither the name nor the number",
	"sender_id_mismatch":     "the project is not the app's: use the one that is in the app's google-services.json",
	"third_party_auth_error": "the key for APNs is missing at Firebase or wrong: see Project settings, Cloud Messaging, Apple app configuration",
	"invalid_option":         "compare notification, android, android_v2, apns, webpush and fcm_options with FCM's reference",
	"invalid_argument": "FCM does not like the message, and does not say why: try without notification, android, " +
		"android_v2, apns, webpush and fcm_options",
	"failed_precondition": "the project is not in a state to send: look at it in the console",

	"quota_exceeded": "the project has sent too much: try again later",

	"dns":     "look at endpoint and proxy, and at the server's resolver",
	"network": unreachable,
	"timeout": "Google cannot be reached: look at endpoint and proxy, and at the firewall",
	"tls":     "something on the way ends TLS, or it is not FCM: look at endpoint and proxy, and at trusted_ca",

	"token_unavailable": "try again later",
	"token_dns":         "look at proxy, at the server's resolver, and at the token_uri of the credentials",
	"token_network":     googleUnreachable,
	"token_timeout":     googleUnreachable,
	"token_tls":         "something on the way ends TLS, or it is not Google's token endpoint: look at proxy and trusted_ca",
}

// appleHints say to the operator what APNs' reasons mean that reach the gateway through FCM.
var appleHints = map[string]string{
	"bad_certificate":                 appleKey,
	"forbidden":                       appleKey,
	"expired_provider_token":          appleKey,
	"invalid_provider_token":          appleKey,
	"missing_provider_token":          appleKey,
	"unrelated_key_id_in_token":       appleKey,
	"bad_certificate_environment":     appleEnvironment,
	"bad_environment_key_id_in_token": appleEnvironment,
	"bad_topic":                       appleTopic,
	"missing_topic":                   appleTopic,
	"topic_disallowed":                appleTopic,
	"bad_priority":                    appleHeaders,
	"invalid_push_type":               appleHeaders,
}

const (
	appleKey = "APNs does not take the key at Firebase: upload a valid one with its key ID and team ID, see Project settings, Cloud Messaging, " +
		"Apple app configuration"
	appleEnvironment = "the APNs key at Firebase is for the other environment: upload one for production and one for development, see Project " +
		"settings, Cloud Messaging, Apple app configuration"
	appleTopic   = "the bundle ID of the Apple app at Firebase and the APNs key do not fit each other: compare them, and the headers of the option apns"
	appleHeaders = "APNs does not take the headers of the option apns: compare them with Apple's reference"
	appleOther   = "APNs does not take what Firebase sends it: compare the option apns with Apple's reference, or ask Firebase's support"
)

// hintFor is the hint for an outcome.
func hintFor(o providers.Outcome) string {
	if apple, ok := strings.CutPrefix(o.Reason, applePrefix); ok && o.Kind == providers.KindMisconfigured {
		return cmp.Or(appleHints[apple], appleOther)
	}
	return cmp.Or(hints[o.Reason], hintsByKind[o.Kind])
}

// hintsByKind are for reasons without a hint of their own.
var hintsByKind = map[providers.Kind]string{
	providers.KindMisconfigured: "what answered was not Google: look at endpoint and proxy",
	providers.KindSuspected:     "what answered was not Google: look at endpoint and proxy",
	providers.KindRejected:      "it is about the device",
	providers.KindDropped:       "FCM does not take the check's message: it deserves a bug report",
	providers.KindRetry:         "FCM is out of order, or what answered is not FCM: try again later; look at endpoint and proxy",
}

// grantHints are for what Google's token endpoint says of credentials that it does not take; it has no codes for that.
var grantHints = []struct{ says, hint string }{
	{"reasonable timeframe", "the server's clock is wrong: set it"},
	{"Invalid JWT Signature", "the key was deleted: get a new one for the account"},
	{"account not found", "the account was deleted: make another, and a key for it"},
	{"expired or revoked", "the login has ended or was revoked: log in again, or use a service account"},
}

// grantCodes are all of RFC 6749 section 5.2.
var grantCodes = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true, "unauthorized_client": true,
	"unsupported_grant_type": true, "invalid_scope": true,
}
