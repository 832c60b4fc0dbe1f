package pushword

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Mozilla's autopush answers {"code", "errno", "error", "message", "more_info"}. Sources: error.rs, headers/vapid.rs and routers/mod.rs in
// https://github.com/mozilla-services/autopush-rs/tree/master/autoendpoint/src, and errors.md in docs/src, which has some more.
//
// Linux also has errno 102, 103, 105 (ENETRESET, ECONNABORTED, ENOBUFS), and a proxy may send them as JSON. So an errno only counts as
// autopush's if the code that belongs to it, a number, is there too.
type errno struct {
	code  int                                // the status that autopush sends it with; 0 for several
	means func(*said, int) providers.Outcome // nil if the status decides
}

var autopushErrnos = map[int]errno{
	101: {http.StatusBadRequest, ours},
	102: {http.StatusNotFound, autopushNotFound}, // autopush did not create the endpoint
	103: {http.StatusGone, deadErrno},            // no such user agent
	104: {http.StatusRequestEntityTooLarge, func(*said, int) providers.Outcome { return tooLarge() }},
	105: {http.StatusGone, deadErrno}, // the user agent was deleted in the meantime
	106: {http.StatusGone, deadErrno}, // no such subscription, or a bridge says so
	108: {http.StatusBadRequest, ours},
	109: {http.StatusUnauthorized, autopushUnauthorized},
	110: {http.StatusBadRequest, ours},
	111: {http.StatusBadRequest, ours},
	112: {http.StatusBadRequest, ours},
	113: {http.StatusBadRequest, ours},
	114: {http.StatusBadRequest, ours},
	201: {0, nil}, // try later: 503, and 429 where a bridge limits
	202: {0, nil},
	900: {0, nil}, // bridges: 502
	901: {0, nil},
	902: {0, nil},
	903: {0, nil},
	999: {0, nil},
}

// readAutopush reads an errno.
func readAutopush(s *said) (reading, bool) {
	n, ok := s.number("errno")
	code, _ := s.number("code") // no status is 0
	e, known := autopushErrnos[n]
	if !ok || !known || code != e.code && e.code != 0 {
		return reading{}, false
	}
	if code != s.Status && !(code == http.StatusGone && s.Status == http.StatusNotFound) {
		return reading{}, false
	}
	word := strconv.Itoa(n)
	if e.means == nil {
		return reading{word: word}, true
	}
	return decided(word, e.means(s, n)), true
}

func deadErrno(s *said, _ int) providers.Outcome { return s.dead() }

func ours(*said, int) providers.Outcome { return refused() }

// autopushNotFound reads 102. Before 2023, autopush was in Python and also sent it for a token with another key
// (https://github.com/google/WebFundamentals, "Web Push: Common Issues and Reporting Bugs", 2017). With that message, the subscription is
// not dead.
func autopushNotFound(s *said, _ int) providers.Outcome {
	if message, _ := s.string("message"); strings.EqualFold(message, "Request did not validate invalid token") {
		return wrongKey()
	}
	return s.dead()
}

// autopushUnauthorized reads 109, whose message decides what it means.
func autopushUnauthorized(s *said, _ int) providers.Outcome {
	message, _ := s.string("message")
	message = strings.ToLower(strings.TrimSpace(message))
	if message == "vapid public key mismatch" {
		return wrongKey()
	}
	for _, m := range []struct{ has, hint string }{
		{"expired", badClock},                     // ExpiredSignature; "Invalid bearer token: Auth expired" in Python
		{"expiration is too long", badClock},      // more than 24 hours
		{"expiry", badClock},                      // Invalid VAPID expiry
		{"audience", badAudience},                 // Invalid VAPID audience
		{"value in the vapid claims", badSubject}, // before 1.74.0, also a token without a sub
		{"missing vapid", noToken},
		{"missing authorization", noToken},
		{"invalid authentication", noToken},
		{"public key", badKeyForm},
	} {
		if strings.Contains(message, m.has) {
			return badToken(m.hint)
		}
	}
	return badToken(badSignature)
}
