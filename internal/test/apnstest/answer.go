package apnstest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Answer is what APNs does with a push that breaks no rule. The zero value accepts it and answers 200.
type Answer struct {
	// Status is the answer's status; 0 means the one that Apple documents for the Reason, or 200 without a Reason.
	Status int
	// Reason is in the answer's JSON body.
	Reason string
	// Timestamp is in the body of a 410, in milliseconds; zero means now.
	Timestamp time.Time
	// Header has more headers of the answer, besides apns-id: Retry-After for example.
	Header http.Header
	// Body replaces the JSON: a proxy's HTML for example.
	Body string

	// Until holds the push until it is closed. Then the other fields decide.
	Until <-chan struct{}
	// Hang holds the push until the client takes it back or the connection ends.
	Hang bool
	// Drop closes the TCP connection instead of answering.
	Drop bool
	// GoAway sends a GOAWAY that says that this request and later ones were not processed. The connection is closed when the earlier
	// requests are done. With Drop, this request was processed, the GOAWAY has the Reason or the Body, and the connection is closed at once.
	GoAway bool
	// Refuse resets the stream with REFUSED_STREAM.
	Refuse bool
	// Take records the push as taken when it arrives, whatever the answer is. With Drop, only the answer is lost.
	Take bool

	// Times is how many pushes get this answer; 0 means one, and a negative number means all later ones.
	Times int
}

// Answer programs the answers to the next pushes to a device token, or to any token if it is empty. Each answer is given as many times as
// its Times says, and then the answer is 200 again. A call replaces what was programmed before. Without answers, it is 200 at once. Answers
// for the token come first, then [Service.Unregister], then answers for any token. A token of only zeros is nobody's: its answer is
// BadDeviceToken if nothing is programmed.
func (a *Service) Answer(token string, answers ...Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[strings.ToLower(token)] = slices.Clone(answers)
}

// nextAnswer returns the answer to a push to the token. The lock is held.
func (a *Service) nextAnswer(token string) Answer {
	token = strings.ToLower(token)
	if answer, ok := a.programmed(token); ok {
		return answer
	}
	if at, gone := a.unregistered[token]; gone {
		return Answer{Reason: "Unregistered", Timestamp: at}
	}
	answer, ok := a.programmed("")
	if !ok && nobody(token) {
		return Answer{Reason: "BadDeviceToken"}
	}
	return answer
}

// nobody reports whether a device token is one that no device ever got.
func nobody(token string) bool { return token != "" && strings.Trim(token, "0") == "" }

func (a *Service) programmed(token string) (Answer, bool) {
	queue := a.answers[token]
	if len(queue) == 0 {
		return Answer{}, false
	}
	answer := queue[0]
	switch {
	case answer.Times > 1:
		queue[0].Times--
	case answer.Times >= 0:
		a.answers[token] = queue[1:]
	}
	return answer, true
}

// status returns the answer's status.
func (answer *Answer) status() int {
	switch {
	case answer.Status != 0:
		return answer.Status
	case answer.Reason != "":
		return statusOf(answer.Reason)
	default:
		return http.StatusOK
	}
}

// body returns the answer's body: JSON with the reason, and in a 410 the time.
func (answer *Answer) body(now time.Time) []byte {
	if answer.Body != "" || answer.Reason == "" {
		return []byte(answer.Body)
	}
	var body struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp,omitempty"`
	}
	body.Reason = answer.Reason
	if answer.status() == http.StatusGone {
		body.Timestamp = now.UnixMilli()
		if !answer.Timestamp.IsZero() {
			body.Timestamp = answer.Timestamp.UnixMilli()
		}
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // never with a string and a number
	}
	return encoded
}

// badPayload is not one of Apple's reasons. Apple hands such a payload to the device or drops it: the fake is stricter.
const badPayload = "BadPayload"

// statusOf returns the status that goes with a reason, by the table of error strings in
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns. All others are 400.
func statusOf(reason string) int {
	switch reason {
	case "BadCertificate", "BadCertificateEnvironment", "ExpiredProviderToken", "Forbidden", "InvalidProviderToken",
		"MissingProviderToken", "UnrelatedKeyIdInToken",
		// The table's spelling, and the one on the wire: https://github.com/swift-server-community/APNSwift/pull/229.
		"BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken":
		return http.StatusForbidden
	case "BadPath":
		return http.StatusNotFound
	case "MethodNotAllowed":
		return http.StatusMethodNotAllowed
	case "ExpiredToken", "Unregistered":
		return http.StatusGone
	case "PayloadTooLarge":
		return http.StatusRequestEntityTooLarge
	case "TooManyProviderTokenUpdates", "TooManyRequests":
		return http.StatusTooManyRequests
	case "InternalServerError":
		return http.StatusInternalServerError
	case "ServiceUnavailable", "Shutdown":
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}
