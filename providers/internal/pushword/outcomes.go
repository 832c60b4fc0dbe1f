package pushword

import (
	"errors"
	"net/http"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// keyWait is how long a push waits for the key that its device subscribed with. Only the operator can restore the key.
	keyWait = time.Hour
	// droppedTries is how often a push is tried that WNS accepted and dropped.
	droppedTries = 3
	// droppedWait is how long each try waits for the device.
	droppedWait = time.Minute
)

// These are the outcomes in the tables. All errors are our own texts, since a service's sentence may repeat what was sent.

// dead is the outcome for a subscription that no longer exists.
func (s *said) dead() providers.Outcome {
	if s.Status == http.StatusGone {
		return providers.Rejected("gone")
	}
	return providers.Rejected("not_found")
}

// wrongKey is the outcome for a subscription that was made for another key. The subscription is not dead: a restored key, or the other of
// two gateways with different keys, must be able to use it.
func wrongKey() providers.Outcome {
	o := providers.Misconfigured("vapid_key_mismatch", errors.New("the subscription was made for another VAPID key"))
	o.RetryAfter, o.WrongKey = keyWait, true
	return o
}

// badToken is the outcome for a VAPID token, or its header, that the service refuses.
func badToken(hint string) providers.Outcome {
	return providers.Misconfigured("vapid_refused", errors.New(hint))
}

// These hints say what to check when a token is refused.
const (
	badSignature = "the push service refuses the VAPID token: check the server's clock, vapid_subject and the key"
	badClock     = "the push service answers that the VAPID token has expired or is too far ahead: check the server's clock"
	badAudience  = "the push service answers that the VAPID token is for another server: check the option endpoint, and proxies"
	badKeyForm   = "the push service refuses the form of the VAPID key: check vapid_key_file"
	noToken      = "the push service requires a VAPID token: the device registered without keys, or a proxy removes the header"
	badSubject   = "the push service refuses a claim of the VAPID token: check vapid_subject and the server's clock"
)

// refused is the outcome for a message that the service does not accept now or later.
func refused() providers.Outcome { return providers.Dropped("refused", nil) }

func tooLarge() providers.Outcome { return providers.Dropped("too_large", nil) }

// rateLimited is the outcome for a sender who sent too much.
func rateLimited() providers.Outcome { return providers.Limited("rate_limited", 0, nil) }

// temporary is the outcome for a service that fails.
func temporary() providers.Outcome { return providers.Retry("server_error", 0, nil) }
