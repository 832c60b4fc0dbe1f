package pushword

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Microsoft's WNS (*.notify.windows.com) answers in headers, with an empty body. Sources: "Push notification service request and response
// headers" in https://github.com/MicrosoftDocs/windows-dev-docs; https://github.com/web-push-libs/pywebpush/issues/162 and public logs for
// the descriptions; https://github.com/microsoft/WindowsAppSDK/issues/4446 for 410; https://github.com/zaru/webpush/issues/109 for 406.
const (
	wnsStatus             = "X-Wns-Status"
	wnsNotificationStatus = "X-Wns-Notificationstatus" // the older name
	wnsDescription        = "X-Wns-Error-Description"
	wnsContinueAfter      = "X-Wns-Continue-After"
)

// wnsStates are the states that WNS gives a notification.
var wnsStates = map[string]bool{"received": true, "dropped": true, "channelthrottled": true, "revoked": true}

// wnsAnswer is an answer from WNS.
type wnsAnswer struct {
	*said
	states      [2]string
	description string // in lower case
}

// readWNS reads the headers.
func readWNS(s *said) (reading, bool) {
	w := wnsAnswer{said: s, description: strings.ToLower(strings.TrimSpace(s.Header.Get(wnsDescription)))}
	for i, name := range []string{wnsStatus, wnsNotificationStatus} {
		w.states[i] = strings.ToLower(strings.TrimSpace(s.Header.Get(name)))
	}
	if w.states == [2]string{} && w.description == "" {
		return reading{}, false
	}
	means, ok := w.means()
	return reading{word: w.word(), decides: ok, means: means}, true
}

// word returns the description of an error, if that is a word, and otherwise the notification's state. Each error also has the state
// "dropped".
func (w wnsAnswer) word() string {
	taken := w.taken()
	for _, name := range []string{wnsDescription, wnsStatus, wnsNotificationStatus} {
		word := providers.Word(strings.TrimSpace(w.Header.Get(name)))
		switch known := wnsStates[strings.ToLower(word)]; {
		case word == "", !taken && strings.EqualFold(word, "dropped"):
		case known, !taken && !w.repeats(word):
			return word
		}
	}
	return ""
}

// taken reports whether the status is a success.
func (w wnsAnswer) taken() bool { return w.Status >= 200 && w.Status < 300 }

func (w wnsAnswer) is(state string) bool { return w.states[0] == state || w.states[1] == state }

func (w wnsAnswer) means() (o providers.Outcome, ok bool) {
	switch taken := w.taken(); {
	case taken && w.is("channelthrottled"):
		return w.throttled(), true
	case taken && w.is("dropped"):
		return notDelivered(), true
	case !w.refuses():
		return o, false
	case strings.Contains(w.description, "blocked"):
		// "Domain Blocked" comes with a 410 for many channels at once: WNS blocks the sender.
		return providers.Misconfigured("sender_blocked", errors.New("the push service blocks this gateway's domain: contact Microsoft")), true
	case strings.Contains(w.description, "public key used to sign jwt does not match"):
		return wrongKey(), true
	case strings.HasPrefix(w.description, "jwt "):
		return badToken(badSignature), true
	case w.Status == http.StatusNotAcceptable, w.is("channelthrottled"):
		return w.throttled(), true
	case w.Status == http.StatusNotFound:
		return w.dead(), true // "The channel URI is not valid or is not recognized by WNS": no proxy sends these headers
	default:
		return o, false
	}
}

// throttled is the outcome for a channel that gets too many notifications.
func (w wnsAnswer) throttled() providers.Outcome {
	var after time.Duration
	if seconds, err := strconv.ParseUint(strings.TrimSpace(w.Header.Get(wnsContinueAfter)), 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	}
	return providers.Limited("throttled", after, nil)
}

// notDelivered is the outcome for a notification that was accepted and dropped, "because of an error or because the client has explicitly
// rejected these notifications", or because the device is offline. The channel works.
func notDelivered() providers.Outcome {
	o := providers.Limited("not_delivered", droppedWait, errors.New("the device is offline or accepts no notifications"))
	o.MaxTries = droppedTries
	return o
}
