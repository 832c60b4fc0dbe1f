package pushword

import "github.com/matrix-push/caddy-matrix-push/providers"

// Apple's Web Push answers {"reason"}. Source: "Handling error responses from Apple Push Notification service" in
// https://developer.apple.com/documentation/usernotifications/sending-web-push-notifications-in-web-apps-and-browsers, which lists statuses
// and reasons separately. The page lacks BadWebPushToken: an endpoint that never existed, or no longer exists, gets it with a 400 (seen in
// public code, 2025 and 2026). VapidPkHashMismatch comes with a 400, and in some logs with a 403.
var appleReasons = map[string]func(*said) providers.Outcome{
	"BadWebPushToken": (*said).dead,

	"VapidPkHashMismatch": func(*said) providers.Outcome { return wrongKey() },

	"BadJwtToken":            func(*said) providers.Outcome { return badToken(badSignature) },
	"BadVapidPublicKey":      func(*said) providers.Outcome { return badToken(badKeyForm) },
	"BadAuthorizationHeader": func(*said) providers.Outcome { return badToken(badSignature) },

	"BadTtl":            func(*said) providers.Outcome { return refused() },
	"BadUrgency":        func(*said) providers.Outcome { return refused() },
	"BadWebPushRequest": func(*said) providers.Outcome { return refused() },
	"BadWebPushTopic":   func(*said) providers.Outcome { return refused() },
	"MethodNotAllowed":  func(*said) providers.Outcome { return refused() },

	"PayloadTooLarge": func(*said) providers.Outcome { return tooLarge() },
	"TooManyRequests": func(*said) providers.Outcome { return rateLimited() },

	"IdleTimeout":         func(*said) providers.Outcome { return temporary() }, // of the connection, as with APNs
	"InternalServerError": func(*said) providers.Outcome { return temporary() },
	"ServiceUnavailable":  func(*said) providers.Outcome { return temporary() },
	"Shutdown":            func(*said) providers.Outcome { return temporary() },

	"BadPath": nil, // the URL is not Apple's: the status, 404, decides
}

// readApple reads a reason.
func readApple(s *said) (reading, bool) {
	reason, _ := s.string("reason")
	means, known := appleReasons[reason]
	switch {
	case !known:
		return reading{}, false
	case means == nil || !s.refuses():
		return reading{word: reason}, true
	default:
		return decided(reason, means(s)), true
	}
}
