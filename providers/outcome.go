package providers

import "time"

// Kind is how an attempt to deliver a push ended. The set is closed: the gateway's policy has a rule for each.
type Kind uint8

const (
	// KindRetry says that the push was not delivered and may be later: an outage, a rate limit, the network, a timeout. It is
	// the zero value, since forgetting to classify an answer must never cost a pusher or a notification.
	KindRetry Kind = iota

	// KindDelivered says that the push service took the push.
	KindDelivered

	// KindRejected says that the pushkey is dead: nothing can be delivered to it, now or later.
	KindRejected

	// KindSuspected means that the pushkey looks dead, but that what stands in front of the push service may have answered in its name,
	// as a proxy does with 404 while the service restarts. The gateway looks again, and believes it only when it lasts.
	KindSuspected

	// KindDropped says that this push can never be delivered, and that the pushkey is fine.
	KindDropped

	// KindMisconfigured says that the push service refuses what the operator set up (a credential, a topic). The push is tried
	// again slowly, the operator is told, and no pushkey is ever rejected for it.
	KindMisconfigured
)

// String is the kind as logs and metrics show it.
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

	// Reason says why, in snake_case words out of a small fixed set of the provider's: it becomes a metric's label, and what an
	// operator reads. Never anything taken from a request, and nothing secret.
	Reason string

	// Word is the push service's own word for what happened, such as APNs' BadDeviceToken or an errno of autopush, as [Word] returns it;
	// empty if it gave none. It is shown beside the reason, and is no label of a metric.
	Word string

	// RetryAfter is how long the push service asked to be left alone; 0 if it did not say. For KindRetry and KindMisconfigured.
	RetryAfter time.Duration

	// MaxTries is how many attempts in a row may end with this outcome before the push is dropped for its reason; 0 for any number. For
	// KindRetry.
	MaxTries int

	// Cause is what kept the push from being delivered now, and so whom else it concerns. For KindRetry.
	Cause Cause

	// Throttled means that the push service limits how many pushes the gateway sends it, as with a 429. For KindRetry with CauseDevice: where
	// devices choose the host, one that says so to several of them is left alone for a while.
	Throttled bool

	// Since is when the pushkey became invalid by the push service's own clock (APNs says so); zero if it did not say. For
	// KindRejected: a device that registered later is not dead.
	Since time.Time

	// Unusable says that the request itself proves that nothing can be delivered to the device, no service was asked: an
	// undecodable token, a broken subscription. For KindRejected: such a rejection is answered and never stored.
	Unusable bool

	// Doubtful says that a wrong setting of the operator's would look the same. For KindRejected: such a rejection is believed
	// only once the app has delivered something with its current settings.
	Doubtful bool

	// WrongKey means that the push service refuses the key that the gateway signs with, since the device subscribed with another one. It
	// is counted for each host, and kills no pushkey: a key that is restored finds its devices again. For KindMisconfigured.
	WrongKey bool

	// Blocked means that the operator's configuration keeps the push from being sent, such as a private address that no option allows.
	// For KindDropped: a push that is pending is held until its end, since a reload may have caused it.
	Blocked bool

	// NoSuchName means that the name of a host that the device chose does not exist. For KindRetry: a push for a device and a host that
	// nothing was delivered to is dropped, as a Blocked one is, or the answer would tell which names the operator's resolver knows.
	NoSuchName bool

	// Err is the detail behind the reason, for the log. It must not contain a pushkey, an endpoint's path, a token or content.
	Err error
}

// maxWord is how many characters a push service's word has at most.
const maxWord = 64

// Word returns what a push service said if that is a word: at most 64 ASCII letters, digits and underscores. Anything else, which may repeat
// what it was sent, is left out. [Outcome.Word] holds one.
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

// Cause is what kept a push from being delivered now.
type Cause uint8

const (
	// CauseService means that the push service answered that it is out of order: a 5xx. The zero value.
	CauseService Cause = iota
	// CauseNetwork means that there was no answer: the name, the connection, TLS, a time-out.
	CauseNetwork
	// CauseDevice means that only this device has to wait: a rate limit of its token, a topic that nobody listens to. It says nothing
	// about the push service.
	CauseDevice
	// CauseGateway means that a bound of the gateway kept the push back, and that the push service was not asked.
	CauseGateway
)

// Delivered says that the push service took the push.
func Delivered() Outcome { return Outcome{Kind: KindDelivered, Reason: "delivered"} }

// Rejected says that the push service proved the pushkey dead.
func Rejected(reason string) Outcome { return Outcome{Kind: KindRejected, Reason: reason} }

// Unusable says that the device's own data prove that nothing could ever be delivered to it.
func Unusable(reason string, err error) Outcome {
	return Outcome{Kind: KindRejected, Reason: reason, Unusable: true, Err: err}
}

// Retry says that the push may be delivered later; after is what the push service asked for, or 0.
func Retry(reason string, after time.Duration, err error) Outcome {
	return Outcome{Kind: KindRetry, Reason: reason, RetryAfter: after, Err: err}
}

// Unreachable means that the push may be delivered later, and that the push service gave no answer.
func Unreachable(reason string, err error) Outcome {
	return Outcome{Kind: KindRetry, Reason: reason, Cause: CauseNetwork, Err: err}
}

// Limited means that the push may be delivered later, and that other devices' pushes may be now.
func Limited(reason string, after time.Duration, err error) Outcome {
	return Outcome{Kind: KindRetry, Reason: reason, RetryAfter: after, Cause: CauseDevice, Err: err}
}

// Busy means that a bound of the gateway kept the push back for now.
func Busy(reason string, err error) Outcome {
	return Outcome{Kind: KindRetry, Reason: reason, Cause: CauseGateway, Err: err}
}

// Suspected means that the pushkey looks dead, but that it may not have been the push service that said so.
func Suspected(reason string) Outcome { return Outcome{Kind: KindSuspected, Reason: reason} }

// Dropped says that this push can never be delivered, and that the pushkey is fine.
func Dropped(reason string, err error) Outcome {
	return Outcome{Kind: KindDropped, Reason: reason, Err: err}
}

// Blocked means that this push is not sent, as long as the operator's configuration is as it is, and that the pushkey is fine.
func Blocked(reason string, err error) Outcome {
	return Outcome{Kind: KindDropped, Reason: reason, Blocked: true, Err: err}
}

// Misconfigured says that the operator must act before anything like this push can be delivered.
func Misconfigured(reason string, err error) Outcome {
	return Outcome{Kind: KindMisconfigured, Reason: reason, Err: err}
}
