package fcm

import (
	"cmp"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	unreachable       = "check endpoint, proxy and the firewall"
	googleUnreachable = "check proxy, the firewall and the token_uri of the credentials"
)

// hints explain to the operator what a reason means and what to do about it, as docs/fcm.md does.
var hints = map[string]string{
	"credentials_refused": "the key was deleted, the account disabled, or the server's clock is wrong: get a new key; correct the clock",
	"unauthenticated":     "FCM accepts no access token, not even a fresh one: get a new key; correct the clock; check endpoint and proxy",
	"permission_denied": "the account may not send for this project, or the API is not enabled: give it the role " +
		"Firebase Cloud Messaging API Admin; enable the API; check project_id",
	"not_found":              "no such project: set project_id to the project's ID, not its name or number",
	"sender_id_mismatch":     "the project is not the app's: use the project in the app's google-services.json",
	"third_party_auth_error": "Firebase's key for APNs is missing or wrong: see Project settings, Cloud Messaging, Apple app configuration",
	"invalid_option":         "compare notification, android, android_v2, apns, webpush and fcm_options with FCM's reference",
	"invalid_argument": "FCM does not accept the message, and gives no cause: try without notification, android, " +
		"android_v2, apns, webpush and fcm_options",
	"failed_precondition": "the project is in a state that prevents sending: check it in Firebase's console",

	"quota_exceeded": "the project has sent too much: try again later",

	"dns":     "check endpoint, proxy and the server's DNS resolver",
	"network": unreachable,
	"timeout": unreachable,
	"tls":     "a proxy terminates TLS, or the server is not FCM: check endpoint, proxy and trusted_ca",

	"token_unavailable": "try again later",
	"token_dns":         "check proxy, the server's DNS resolver and the token_uri of the credentials",
	"token_network":     googleUnreachable,
	"token_timeout":     googleUnreachable,
	"token_tls":         "a proxy terminates TLS, or the server is not Google's token endpoint: check proxy and trusted_ca",
}

// appleHints explain to the operator the reasons that APNs gives through FCM.
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
	appleKey = "APNs does not accept the key at Firebase: upload a valid one with its key ID and team ID, see Project settings, " +
		"Cloud Messaging, Apple app configuration"
	appleEnvironment = "the APNs key at Firebase is for the other environment: upload one for production and one for development, see " +
		"Project settings, Cloud Messaging, Apple app configuration"
	appleTopic   = "the Apple app's bundle ID at Firebase does not match the APNs key: compare them, and the headers of the option apns"
	appleHeaders = "APNs does not accept the headers of the option apns: compare them with Apple's reference"
	appleOther   = "APNs does not accept Firebase's request: compare the option apns with Apple's reference, or ask Firebase's support"
)

// hintFor returns the hint for an outcome.
func hintFor(o providers.Outcome) string {
	if apple, ok := strings.CutPrefix(o.Reason, applePrefix); ok && o.Kind == providers.KindMisconfigured {
		return cmp.Or(appleHints[apple], appleOther)
	}
	return cmp.Or(hints[o.Reason], hintsByKind[o.Kind])
}

// hintsByKind are for reasons without their own hint.
var hintsByKind = map[providers.Kind]string{
	providers.KindMisconfigured: "the server is not Google's: check endpoint and proxy",
	providers.KindSuspected:     "the server is not Google's: check endpoint and proxy",
	providers.KindRejected:      "only this device is affected",
	providers.KindDropped:       "FCM does not accept the check's message: file a bug report",
	providers.KindRetry:         "FCM fails, or the server is not FCM: try again later; check endpoint and proxy",
}

// grantHints are for the token endpoint's descriptions of credentials that it does not accept; it has no codes for them.
var grantHints = []struct{ says, hint string }{
	{"reasonable timeframe", "the server's clock is wrong: correct it"},
	{"Invalid JWT Signature", "the key was deleted: get a new one for the account"},
	{"account not found", "the account was deleted: create another one and a key for it"},
	{"expired or revoked", "the login has expired or was revoked: log in again, or use a service account"},
}

// grantCodes are all codes of RFC 6749 section 5.2.
var grantCodes = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true, "unauthorized_client": true,
	"unsupported_grant_type": true, "invalid_scope": true,
}
