package apns

import "github.com/matrix-push/caddy-matrix-push/providers"

const (
	otherTopic  = "topic is not one that this key, team or certificate may send to: set topic to the bundle ID, letter by letter"
	onTheWay    = "something on the way changed the request, or is not APNs: look at endpoint and proxy"
	unreachable = "APNs cannot be reached: look at endpoint and proxy, and at the firewall (port 443; 2197 with endpoint)"
	unknown     = "Apple refuses for a reason that is not documented: look Apple's word up at developer.apple.com"
	notApple    = "the answer gives no reason as Apple's do, so what answered is not APNs: look at endpoint and proxy"
)

// hints say to the operator what a reason means and what to do about it, as docs/apns.md does.
var hints = map[string]string{
	"credential": "replace the file",
	"certificate_refused": "the certificate is revoked or not one of Apple's, or something on the way wants one: get a new certificate; " +
		"look at proxy and endpoint",
	"bad_certificate":             "Apple does not take the certificate: get a new one",
	"bad_certificate_environment": "the certificate is for the other environment: change environment, or get a certificate for both",
	"invalid_provider_token":      "key, key_id and team_id do not belong together, or the key was revoked: compare all three with Apple's page",
	"expired_provider_token":      "Apple finds a new token too old as well: set the server's clock",
	"missing_provider_token":      "nothing on the request proves who sends it, so that something on the way took it off: look at proxy and endpoint",
	"unrelated_key_id_in_token": "several keys were used on one connection, also on a new one, and so by something on the way: look at " +
		"endpoint and proxy",
	"bad_environment_key_id_in_token": "the key is for the other environment: change environment, or use a key for both",

	"topic_disallowed":           otherTopic,
	"bad_topic":                  otherTopic,
	"missing_topic":              otherTopic,
	"device_token_not_for_topic": otherTopic,
	"invalid_push_type": "Apple does not take this push type for this topic: leave push_type out, so that the ending of topic decides, and see " +
		"that topic is the bundle ID with one of Apple's endings, or without any for alerts",
	"forbidden": "Apple refuses without saying more: see whether the membership and its agreements are in order",

	"bad_priority":       onTheWay,
	"bad_path":           onTheWay,
	"method_not_allowed": onTheWay,

	"too_many_provider_token_updates": "Apple takes a new token of a key every 20 minutes at most: check again then, and see who else uses the key",

	"dns":     "look at endpoint and proxy, and at the server's resolver",
	"network": unreachable,
	"timeout": unreachable,
	"tls":     "something on the way ends TLS, or it is not APNs: look at endpoint and proxy, and at trusted_ca",
}

// hintsWithoutWord are for reasons without a hint of their own, where the answer has no word of Apple's.
var hintsWithoutWord = map[providers.Kind]string{
	providers.KindMisconfigured: notApple,
	providers.KindRejected:      notApple,
	providers.KindSuspected:     notApple,
	providers.KindDropped:       notApple,
	providers.KindRetry:         "Apple is out of order, or what answered is not APNs: try again later; look at endpoint and proxy",
}

// hintsByKind are for reasons without a hint of their own.
var hintsByKind = map[providers.Kind]string{
	providers.KindMisconfigured: unknown,
	providers.KindRejected:      unknown,
	providers.KindSuspected:     unknown,
	providers.KindDropped:       "APNs does not take the check's request: look at endpoint and proxy; if it is not they, it deserves a bug report",
	providers.KindRetry:         "Apple is out of order, or what answered is not APNs: try again later; look at endpoint and proxy",
}
