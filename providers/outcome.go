package providers

import "time"

// Kind is how an attempt to deliver a push ended. The set is closed: the gateway's policy has a rule for each kind.
type Kind uint8

const (
	// KindRetry means that the push was not delivered, but may be later: an outage, a rate limit, the network, a timeout. It is the zero
	// value: a provider that forgets to classify an answer must never cost a pusher or a notification.
	KindRetry Kind = iota

	// KindDelivered means that the push service accepted the push.
	KindDelivered

	// KindRejected means that the pushkey is dead: nothing can be delivered to it, now or later.
	KindRejected

	// KindSuspected means that the pushkey looks dead, but that something in front of the push service may have answered instead. For
	// example, a proxy answers 404 while the service restarts. The gateway tries again, and believes the answer only if it persists.
	KindSuspected

	// KindDropped means that this push can never be delivered, but the pushkey is fine.
	KindDropped

	// KindMisconfigured means that the push service refuses something that the operator configured, such as a credential or a topic. The
	// push is retried slowly, the operator gets an error in the log, and no pushkey is ever rejected for it.
	KindMisconfigured
)

// String returns the kind as logs and metrics show it.
func (k Kind) String() string {
	switch k {
	case KindDelivered:
		return "delivered"
	case KindRejected:
		return "rejected"
	case KindSuspected:
		return "suspected"
	case KindDropped:
		return "dropped"
	case KindMisconfigured:
		return "misconfigured"
	default:
		return "retry"
	}
}

// Outcome is how one attempt to deliver one push ended.
type Outcome struct {
	// Kind decides what the gateway does next.
	Kind Kind

	// Reason is why, in snake_case: one of a small, fixed set of words of the provider. It becomes the label of a metric, and operators
	// read it. It never contains anything taken from a request, or a secret.
	Reason string

	// Word is the push service's own word for what happened, such as APNs' BadDeviceToken or an errno of autopush, as [Word] returns it.
	// It is empty if the service gave none. It is shown beside the reason, and never becomes the label of a metric.
	Word string

	// RetryAfter is how long the push service asked to wait; 0 if it did not ask. For KindRetry and KindMisconfigured.
	RetryAfter time.Duration

	// MaxTries is how many attempts in a row may end with this outcome before the push is dropped for its reason; 0 for no limit. For
	// KindRetry.
	MaxTries int

	// Cause is what prevented the delivery, and so which other pushes are affected. For KindRetry.
	Cause Cause

	// Throttled means that the push service limits how many pushes the gateway sends it, as with a 429. For KindRetry with CauseDevice. If
	// devices choose the host, and a host throttles several of them, the gateway pauses all pushes to it for a while.
	Throttled bool

	// Since is when the pushkey became invalid by the push service's own clock, which APNs reports; zero if it did not report it. For
	// KindRejected: a device that registered later is not dead.
	Since time.Time

	// Unusable means that the request itself proves that nothing can be delivered to the device: an undecodable token, a broken
	// subscription. No push service was asked. For KindRejected: such a rejection is answered and never stored.
	Unusable bool

	// Doubtful means that a wrong setting of the operator would have the same effect. For KindRejected: such a rejection is believed only
	// once the app has delivered something with its current settings.
	Doubtful bool

	// WrongKey means that the push service refuses the key that the gateway signs with, because the device subscribed with another one. It
	// is counted for each host and rejects no pushkey: if the key is restored, the devices work again. For KindMisconfigured.
	WrongKey bool

	// Blocked means that the operator's configuration prevents the push, such as a private address that no option allows. For KindDropped:
	// if the push is pending, it is kept until it expires, because a reload may have caused this.
	Blocked bool

	// NoSuchName means that the host name that the device chose does not exist. For KindRetry: such a push is dropped, like a Blocked one,
	// if nothing was ever delivered to the device and host. Otherwise, the answer would reveal which names the operator's resolver knows.
	NoSuchName bool

	// Proxy means that the operator's proxy does not work. Only the operator can fix that, even where devices choose the host. For KindRetry
	// with CauseNetwork.
	Proxy bool

	// Err is the detail behind the reason, for the log. It must not contain a pushkey, an endpoint's path, a token or content.
	Err error
}

// maxWord is the maximum length of a push service's word.
const maxWord = 64

// Word returns what a push service said if that is a word: at most 64 ASCII letters, digits and underscores. Otherwise, it returns an
// empty string, because the text may repeat what was sent to the service. It is for [Outcome.Word].
func Word(said string) string {
	if len(said) > maxWord {
		return ""
	}
	for i := range len(said) {
		switch c := said[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		default:
			return ""
		}
	}
	return said
}

// Cause is what prevented the delivery of a push.
type Cause uint8

const (
	// CauseService means that the push service answered with a 5xx: it is out of order. It is the zero value.
	CauseService Cause = iota
	// CauseNetwork means that there was no answer: the name, the connection, TLS or a timeout failed.
	CauseNetwork
	// CauseDevice means that only this device must wait: a rate limit of its token, a topic without a listener. It is not a fault of the
	// push service.
	CauseDevice
	// CauseGateway means that a limit of the gateway delayed the push. The push service was not asked.
	CauseGateway
)

// Delivered means that the push service accepted the push.
func Delivered() Outcome { return Outcome{Kind: KindDelivered, Reason: "delivered"} }

// Rejected means that the push service proved the pushkey dead.
func Rejected(reason string) Outcome { return Outcome{Kind: KindRejected, Reason: reason} }

// Unusable means that the device's own data prove that nothing could ever be delivered to it.
func Unusable(reason string, err error) Outcome {
	return Outcome{Kind: KindRejected, Reason: reason, Unusable: true, Err: err}
}

// Retry means that the push may be delivered later. The argument after is how long the push service asked to wait, or 0.
func Retry(reason string, after time.Duration, err error) Outcome {
	return Outcome{Kind: KindRetry, Reason: reason, RetryAfter: after, Err: err}
}

// Unreachable means that the push service gave no answer, and that the push may be delivered later.
func Unreachable(reason string, err error) Outcome {
	return Outcome{Kind: KindRetry, Reason: reason, Cause: CauseNetwork, Err: err}
}

// Limited means that this push may be delivered later, and that pushes for other devices may be delivered now.
func Limited(reason string, after time.Duration, err error) Outcome {
	return Outcome{Kind: KindRetry, Reason: reason, RetryAfter: after, Cause: CauseDevice, Err: err}
}

// Busy means that a limit of the gateway delayed the push.
func Busy(reason string, err error) Outcome {
	return Outcome{Kind: KindRetry, Reason: reason, Cause: CauseGateway, Err: err}
}

// Suspected means that the pushkey looks dead, but that the answer may not have come from the push service.
func Suspected(reason string) Outcome { return Outcome{Kind: KindSuspected, Reason: reason} }

// Dropped means that this push can never be delivered, but the pushkey is fine.
func Dropped(reason string, err error) Outcome {
	return Outcome{Kind: KindDropped, Reason: reason, Err: err}
}

// Blocked means that this push is not sent with the current configuration, but the pushkey is fine.
func Blocked(reason string, err error) Outcome {
	return Outcome{Kind: KindDropped, Reason: reason, Blocked: true, Err: err}
}

// Misconfigured means that the operator must fix something before a push like this one can be delivered.
func Misconfigured(reason string, err error) Outcome {
	return Outcome{Kind: KindMisconfigured, Reason: reason, Err: err}
}
