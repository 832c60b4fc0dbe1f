package apns

import "github.com/matrix-push/caddy-matrix-push/providers"

const (
	otherTopic  = "this key, team or certificate may not send to topic: set topic to the exact bundle ID"
	onTheWay    = "a proxy changed the request, or the server is not APNs: check endpoint and proxy"
	unreachable = "check endpoint, proxy and the firewall (port 443; 2197 with endpoint)"
	unknown     = "Apple gives a reason that is not documented: look it up at developer.apple.com"
	notApple    = "the answer has no reason in Apple's form, so the server is not APNs: check endpoint and proxy"
)

// hints explain to the operator what a reason means and what to do about it, as docs/apns.md does.
var hints = map[string]string{
	"credential": "replace the file",
	"certificate_refused": "the certificate is revoked or not from Apple, or a proxy requires one: get a new certificate; " +
		"check proxy and endpoint",
	"bad_certificate":             "Apple does not accept the certificate: get a new one",
	"bad_certificate_environment": "the certificate is for the other environment: change environment, or get a certificate for both",
	"invalid_provider_token": "key, key_id and team_id do not match, or the key was revoked: compare all three with Apple's developer " +
		"site",
	"expired_provider_token": "Apple considers even a new token expired: correct the server's clock",
	"missing_provider_token": "the request arrived without its provider token, so a proxy removed it: check proxy and endpoint",
	"unrelated_key_id_in_token": "one connection carried tokens of several keys, even a new connection, so a proxy shares it: check " +
		"endpoint and proxy",
	"bad_environment_key_id_in_token": "the key is for the other environment: change environment, or use a key for both",

	"topic_disallowed":           otherTopic,
	"bad_topic":                  otherTopic,
	"missing_topic":              otherTopic,
	"device_token_not_for_topic": otherTopic,
	"invalid_push_type": "Apple does not accept this push type for this topic: leave push_type out, so the ending of topic decides, and " +
		"check that topic is the bundle ID with one of Apple's endings, or with none for alerts",
	"forbidden": "Apple refuses without details: check that the developer membership is active and its agreements are accepted",

	"bad_priority":       onTheWay,
	"bad_path":           onTheWay,
	"method_not_allowed": onTheWay,

	"too_many_provider_token_updates": "Apple accepts a new token for a key at most every 20 minutes: try again then, and find out " +
		"who else uses the key",

	"dns":     "check endpoint, proxy and the server's DNS resolver",
	"network": unreachable,
	"timeout": unreachable,
	"tls":     "a proxy terminates TLS, or the server is not APNs: check endpoint, proxy and trusted_ca",
}

// hintsWithoutWord are for reasons without their own hint, if the answer has no reason from Apple.
var hintsWithoutWord = map[providers.Kind]string{
	providers.KindMisconfigured: notApple,
	providers.KindRejected:      notApple,
	providers.KindSuspected:     notApple,
	providers.KindDropped:       notApple,
	providers.KindRetry:         "Apple's service fails, or the server is not APNs: try again later; check endpoint and proxy",
}

// hintsByKind are for other reasons without their own hint.
var hintsByKind = map[providers.Kind]string{
	providers.KindMisconfigured: unknown,
	providers.KindRejected:      unknown,
	providers.KindSuspected:     unknown,
	providers.KindDropped:       "APNs does not accept the check's request: check endpoint and proxy; if both are right, file a bug report",
	providers.KindRetry:         "Apple's service fails, or the server is not APNs: try again later; check endpoint and proxy",
}
