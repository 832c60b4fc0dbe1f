package providertest

import (
	"fmt"
	"net/http"
)

func recordedAutopush() (all []RecordedAnswer) {
	add := func(name, source string, status int, errno, message string, header ...string) {
		body := fmt.Sprintf(`{"code":%d,"errno":%s,"error":%q,"message":%q,"more_info":"http://autopush.readthedocs.io/en/latest/http.html#error-codes"}`,
			status, errno, http.StatusText(status), message)
		all = append(all, recorded("autopush", name, source, status, recordedJSON, body, header...))
	}
	add("invalid token", sourceAutopush, 404, "102", "Invalid token")
	add("invalid API version", sourceAutopush, 404, "102", "Invalid API version")
	add("no user", sourceAutopush, 410, "103", "UAID not found", "Cache-Control", "max-age=86400")
	add("user deleted", sourceAutopush, 410, "105", "User was deleted during routing", "Cache-Control", "max-age=86400")
	add("no subscription", sourceAutopush, 410, "106", "No such subscription", "Cache-Control", "max-age=86400")
	add("no user of a bridge", sourceAutopush, 410, "106", "Bridge reports user was not found", "Cache-Control", "max-age=86400")
	add("overflow", sourceAutopush, 413, "104", "Payload reached size limit.")
	add("too long for a bridge", sourceAutopush, 413, "104",
		"This message is intended for a constrained device and is limited in size. Converted buffer is too long by 42 bytes")
	add("another key", sourceAutopush, 401, "109", "VAPID public key mismatch")
	add("no key", sourceAutopush, 401, "109", "Missing VAPID public key")
	add("no token", sourceAutopush, 401, "109", "Missing VAPID token")
	add("an invalid key", sourceAutopush, 401, "109", "Invalid VAPID public key: Invalid byte 33, offset 3.")
	add("a wrong claim", sourceAutopush+" (before 1.74.0: no sub)", 401, "109",
		`Invalid VAPID token: A value in the vapid claims is either missing or incorrectly specified (e.g. "exp":"12345" or "sub":null). Please correct and retry.`)
	add("another audience", sourceAutopush, 401, "109", "Invalid VAPID audience")
	add("an expiry too far", sourceAutopush, 401, "109", "The VAPID token expiration is too long")
	add("expired", sourceAutopush, 401, "109", "ExpiredSignature")
	add("a wrong signature", sourceAutopush, 401, "109", "InvalidSignature")
	add("an unknown scheme", sourceAutopush, 401, "109", "Unknown auth scheme")
	add("bad encryption", sourceAutopush, 400, "110", "Invalid aes128gcm Content-Encoding")
	add("no TTL", sourceAutopush, 400, "111", "Missing TTL value")
	add("a bad topic", sourceAutopush, 400, "113", "Topic must be no greater than 32 characters")
	add("a negative TTL", sourceAutopush, 400, "114", "TTL must be greater than 0")
	add("a bad router type", sourceAutopush, 400, "108", "Invalid router type")
	add("a bad message id", sourceAutopush, 400, "null", "Invalid message ID")
	add("a limit of a bridge", sourceAutopush, 429, "201", "Bridge is rate limiting", "Retry-After", "117")
	add("a database error", sourceAutopush, 503, "201", "Database error while saving notification", "Retry-After", "120")
	add("an internal error", sourceAutopush, 500, "null", "General error")
	add("a bridge's login", sourceAutopush, 502, "901", "Bridge authentication error")
	add("a bridge that is away", sourceAutopush, 502, "902", "Error while connecting to bridge service")
	add("a bridge that is slow", sourceAutopush, 502, "903", "Bridge request timeout")
	add("another key, in Python", sourcePython, 404, "102", "Request did not validate invalid token")
	add("expired, in Python", sourcePython, 401, "109", "Request did not validate Invalid bearer token: Auth expired")
	add("no authorization, in Python", sourcePython, 401, "109", "Request did not validate missing authorization header")
	return all
}

func recordedGoogle() (all []RecordedAnswer) {
	add := func(name, source string, status int, contentType, body string, header ...string) {
		all = append(all, recorded("Google", name, source, status, contentType, body, header...))
	}
	page := func(word string, status int) string {
		return fmt.Sprintf("<HTML>\n<HEAD>\n<TITLE>%s</TITLE>\n</HEAD>\n<BODY BGCOLOR=\"#FFFFFF\" TEXT=\"#000000\">\n<H1>%s</H1>\n<H2>Error %d</H2>\n</BODY>\n</HTML>\n",
			word, word, status)
	}
	add("unsubscribed", sourceSeen, 410, recordedText, "push subscription has unsubscribed or expired.\n")
	add("not used for 270 days", "github.com/web-push-libs/web-push#940, 2025", 404, recordedText,
		"A valid push subscription endpoint should be specified in the URL as such: https://fcm.googleapis.com/wp{path}\n")
	add("another key", sourceSeen, 403, recordedText,
		"the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.\n")
	add("another key, earlier", "github.com/web-push-libs/web-push#457", 403, recordedText,
		"the key in the authorization header does not correspond to the sender ID used to subscribe this user. Please ensure you are using the correct sender ID and server Key from the Firebase console.\n")
	add("a bad token", sourceChromium, 403, recordedText, "invalid JWT provided\n")
	add("a bad token, later", sourceSeen, 403, recordedText, "permission denied: invalid JWT provided\n")
	add("a bad audience", sourceChromium, 403, recordedText, "invalid aud claim\n")
	add("another audience", sourceChromium, 403, recordedText, "aud claim in the token MUST include the origin of the push resource URL\n")
	add("an expiry too far", sourceChromium, 403, recordedText, "exp claim MUST NOT be more than 24 hours from the time of the request\n")
	add("expired", sourceChromium, 403, recordedText, "token has expired\n")
	add("no expiry", sourceChromium, 403, recordedText, "exp claim is missing\n")
	add("no login", sourceChromium, 403, recordedText, "sender is not authenticated.\n")
	add("a short key", sourceChromium, 403, recordedText, "public key must be 65 bytes long\n")
	add("a compressed key", sourceChromium, 403, recordedText, "public key must be in uncompressed form. (First byte needs to be 0x04)\n")
	add("a key of another curve", sourceChromium, 403, recordedText, "VAPID public key must be on the P-256 curve\n")
	add("no key", sourceChromium, 403, recordedText,
		"authorization header had no public application server key specified. Authorization header should have the following format: vapid t=jwtToken; k=base64(publicApplicationServerKey)\n")
	add("an empty key", sourceChromium, 403, recordedText,
		"crypto-key header had empty public application server key. crypto-key header should have the following format: p256ecdsa=base64(publicApplicationServerKey)\n")
	add("not registered", "github.com/zaru/webpush#69", 410, recordedHTML, page("NotRegistered", 410))
	add("unauthorized", "github.com/web-push-libs/web-push-php#8; "+sourcePython, 400, recordedHTML, page("UnauthorizedRegistration", 400))
	add("unauthorized, with 401", sourceSeen, 401, recordedHTML, page("UnauthorizedRegistration", 401))
	add("a bad TTL", "github.com/web-push-libs/web-push-php#50, 2016", 400, recordedHTML, page("InvalidTtlParameter", 400))
	add("too large", "RFC 8030 section 7.2: the body is not known", 413, recordedText, "payload too large\n")
	add("too many", "RFC 8030 section 8.4: the body is not known", 429, recordedText, "quota exceeded\n", "Retry-After", "30")
	return all
}

func recordedApple() (all []RecordedAnswer) {
	add := func(reason, source string, status int) {
		all = append(all, recorded("Apple", fmt.Sprintf("%s with %d", reason, status), source, status, recordedJSON,
			fmt.Sprintf(`{"reason":%q}`, reason), "Apns-Id", "4C1F0B7E-9D8E-4B0E-8C7E-1F3A5B7C9D0E"))
	}
	add("BadWebPushToken", sourceSeen, 400)
	add("Unregistered", sourceApple+": 410; the reason is not certain", 410)
	add("VapidPkHashMismatch", sourceApple+"; "+sourceSeen, 400)
	add("VapidPkHashMismatch", sourceSeen, 403)
	add("BadJwtToken", sourceApple+"; github.com/matrix-org/sygnal#338", 403)
	add("BadVapidPublicKey", sourceApple, 400)
	add("BadVapidPublicKey", sourceApple, 403)
	add("BadAuthorizationHeader", sourceApple, 400)
	add("BadAuthorizationHeader", sourceApple, 403)
	add("BadTtl", sourceApple, 400)
	add("BadUrgency", sourceApple, 400)
	add("BadWebPushRequest", sourceApple, 400)
	add("BadWebPushTopic", sourceApple, 400)
	add("IdleTimeout", sourceApple, 400)
	add("BadPath", sourceApple, 404)
	add("MethodNotAllowed", sourceApple, 405)
	add("PayloadTooLarge", sourceApple, 413)
	add("TooManyRequests", sourceApple, 429)
	add("InternalServerError", sourceApple, 500)
	add("ServiceUnavailable", sourceApple, 503)
	add("Shutdown", sourceApple, 503)
	return all
}

func recordedWNS() (all []RecordedAnswer) {
	add := func(name, source string, status int, state, description string, header ...string) {
		header = append(header, "X-WNS-Debug-Trace", "AM3PEPF00006225", "X-WNS-Msg-ID", "3155CBC13625D6D0")
		if state != "" {
			header = append(header, "X-WNS-Status", state, "X-WNS-NotificationStatus", state)
		}
		if description != "" {
			header = append(header, "X-WNS-Error-Description", description)
		}
		all = append(all, recorded("WNS", name, source, status, "", "", header...))
	}
	add("received", sourceMicrosoft, 200, "received", "")
	add("received, with 201", sourceMicrosoft, 201, "received", "")
	add("dropped", sourceMicrosoft+"; github.com/MicrosoftDocs/windows-dev-docs#5133", 200, "dropped", "")
	add("the device is offline", "github.com/microsoft/WindowsAppSDK#3677", 200, "dropped", "Device is offline and X-WNS-Cache-Policy is no-cache")
	add("the channel is throttled", sourceMicrosoft, 200, "channelthrottled", "", "X-WNS-Continue-After", "90")
	add("a TTL of 0", "github.com/web-push-libs/pywebpush#162, 2024", 400, "dropped", "Ttl value conflicts with X-WNS-Cache-Policy.")
	add("another key", sourceSeen, 401, "dropped", "The public key used to sign JWT does not match with the one included in channel Url.")
	add("a bad token", sourceSeen, 401, "dropped", "JWT Authentication Failed, unable to validate token signature")
	add("no login", sourceMicrosoft, 401, "", "")
	add("not allowed", sourceMicrosoft, 403, "dropped", "Request targets an app that is not in allowed receiving apps list by WNS.")
	add("an unknown channel", sourceMicrosoft, 404, "dropped", "Channel expired")
	add("another method", sourceMicrosoft, 405, "dropped", "")
	add("throttled", sourceMicrosoft+"; github.com/web-push-libs/web-push-php#348", 406, "channelthrottled", "", "Retry-After", "120")
	add("throttled, without a time", sourceMicrosoft, 406, "channelthrottled", "")
	add("dropped, with 406", sourceMicrosoft, 406, "dropped", "")
	add("throttled, without a state", "github.com/zaru/webpush#109: no headers are known", 406, "", "", "Retry-After", "120")
	add("an expired channel", sourceMicrosoft, 410, "dropped", "Channel expired")
	add("a revoked channel", "github.com/microsoft/WindowsAppSDK#4446", 410, "revoked", "Revoked channel URL")
	add("a blocked domain", sourceSeen, 410, "dropped", "Domain Blocked")
	add("too large", sourceMicrosoft, 413, "dropped", "")
	add("an internal error", sourceMicrosoft+"; github.com/microsoft/WindowsAppSDK#4546", 500, "dropped", "")
	add("unavailable", sourceMicrosoft, 503, "", "", "Retry-After", "300")
	return all
}

func recordedNtfy() (all []RecordedAnswer) {
	add := func(code int, message, source string) {
		status := code / 100
		all = append(all, recorded("ntfy", fmt.Sprint(code), source, status, recordedJSON,
			fmt.Sprintf(`{"code":%d,"http":%d,"error":%q,"link":"https://ntfy.sh/docs/publish/#limitations"}`+"\n", code, status, message)))
	}
	add(40009, "invalid request: topic invalid", sourceNtfy)
	add(40010, "invalid request: topic name is not allowed", sourceNtfy)
	add(40019, "invalid request: Matrix JSON invalid", sourceNtfy)
	add(40101, "unauthorized", sourceNtfy)
	add(40301, "forbidden", sourceNtfy)
	add(40401, "page not found", sourceNtfy)
	add(41301, "attachment too large, or bandwidth limit reached", sourceNtfy)
	add(41302, "Matrix request is larger than the max allowed length", sourceNtfy)
	add(42901, "limit reached: too many requests", sourceNtfy)
	add(42905, "limit reached: daily bandwidth reached", sourceNtfy)
	add(42908, "limit reached: daily message quota reached", sourceNtfy)
	add(42909, "limit reached: too many auth failures", sourceNtfy)
	add(50001, "internal server error", sourceNtfy)
	add(50003, "internal server error: base-url must be be configured for this feature", sourceNtfy)
	add(50701, "cannot publish to UnifiedPush topic without previously active subscriber", sourceNtfy)
	return all
}

func recordedNextPush() []RecordedAnswer {
	return []RecordedAnswer{
		recorded("NextPush", "taken", sourceNextPush, 201, "application/json; charset=utf-8", `{"success":true}`, "TTL", "0"),
		recorded("NextPush", "no such endpoint", sourceNextPush, 404, "application/json; charset=utf-8", `{"success":false}`),
	}
}

// recordedOthers returns answers of proxies in front of a push service, and of unknown services.
func recordedOthers() []RecordedAnswer {
	return []RecordedAnswer{
		recorded("a proxy", "Traefik's 404", "github.com/traefik/traefik#4153", 404, recordedText, "404 page not found\n", "X-Content-Type-Options", "nosniff"),
		recorded("a proxy", "Kong's 404", "docs.konghq.com", 404, recordedJSON, `{"message":"no Route matched with those values"}`),
		recorded("a proxy", "a page with 502", "nginx", 502, "text/html", "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n"),
		recorded("a proxy", "Kubernetes' 404", "kubernetes.io: Status", 404, recordedJSON, `{"kind":"Status","status":"Failure","reason":"NotFound","code":404}`),
		recorded("a proxy", "an errno of Linux", "errno(3): ECONNABORTED", 404, recordedJSON, `{"errno":103,"strerror":"Software caused connection abort"}`),
		recorded("a proxy", "a 406", "RFC 9110 section 15.5.7", 406, recordedHTML, "<p>Not Acceptable</p>"),
		recorded("another", "a word with 400", "class 2 of the public reports: made up", 400, recordedJSON, `{"reason":"QuantumFluxInverted"}`),
		recorded("another", "a word as a problem", "RFC 9457: made up", 403, "application/problem+json",
			`{"type":"about:blank","title":"Forbidden","status":403,"code":"E_QUANTUM"}`),
		recorded("another", "an errno of autopush's that is new", "made up", 400, recordedJSON, `{"code":400,"errno":151,"error":"Bad Request","message":"new"}`),
	}
}
