package pushword

import (
	"errors"
	"net/http"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// keyWait is how long a push waits for the key that its device subscribed with. Only the operator can bring that back.
	keyWait = time.Hour
	// droppedTries is how often a push is tried that WNS took and dropped.
	droppedTries = 3
	// droppedWait is how long each try waits for the device.
	droppedWait = time.Minute
)

// The outcomes that the tables have. Wherever an error is given, it is one of ours, as a service's sentence may repeat what was sent.

// dead is a subscription that is no more.
func (s *said) dead() providers.Outcome {
	if s.Status == http.StatusGone {
		return providers.Rejected("gone")
	}
	return providers.Rejected("not_found")
}

// wrongKey is a subscription that was made for another key. It is no death: a key that is restored, or the other of two gateways with
// different keys, must find it again.
func wrongKey() providers.Outcome {
	o := providers.Misconfigured("vapid_key_mismatch", errors.New("the subscription was made for another VAPID key"))
	o.RetryAfter, o.WrongKey = keyWait, true
	return o
}

// badToken is a VAPID token, or its header, that the service does not like.
func badToken(hint string) providers.Outcome {
	return providers.Misconfigured("vapid_refused", errors.New(hint))
}

// What to look at when a token is refused.
const (
	badSignature = "the push service refuses the VAPID token: look at the clock, the subject and the key"
	badClock     = "the push service says that the VAPID token has expired or is too far ahead: look at the clock"
	badAudience  = "the push service says that the VAPID token is for another server: look at the option endpoint, and at proxies"
	badKeyForm   = "the push service refuses the form of the VAPID key: look at vapid_key_file"
	noToken      = "the push service wants a VAPID token: the device registered without keys, or a proxy removes the header"
	badSubject   = "the push service refuses a claim of the VAPID token: look at vapid_subject and the clock"
)

// refused is a message that the service does not take, and will not take later.
func refused() providers.Outcome { return providers.Dropped("refused", nil) }

func tooLarge() providers.Outcome { return providers.Dropped("too_large", nil) }

// rateLimited is a sender who sent too much.
func rateLimited() providers.Outcome { return providers.Limited("rate_limited", 0, nil) }

// temporary is a service out of order.
func temporary() providers.Outcome { return providers.Retry("server_error", 0, nil) }
