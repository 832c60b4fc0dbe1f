package apns

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

// byStatus is the verdict where APNs gives no reason, or one that is not documented. A 410 says by itself that the token is dead; but
// only APNs can say so, and not whatever answered in its place.
func byStatus(status int, fromAPNs bool) apnsreason.Verdict {
	v := apnsreason.Verdict{Reason: "http_" + strconv.Itoa(status)}
	switch {
	case status == http.StatusGone && fromAPNs:
		v.Kind, v.Doubtful = providers.KindRejected, true
	case !fromAPNs, status == http.StatusTooManyRequests, status < 400, status >= 500:
		v.Kind = providers.KindRetry
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge:
		v.Kind = providers.KindDropped
	default:
		v.Kind = providers.KindMisconfigured
	}
	return v
}

// answer is what matters of an answer of APNs.
type answer struct {
	status     int
	reason     string
	timestamp  time.Time
	retryAfter time.Duration
}

// cause is whom a retry concerns. Too many provider tokens are a 429 as well, but no device's.
func (a answer) cause() providers.Cause {
	if a.status == http.StatusTooManyRequests && a.reason != apns2.ReasonTooManyProviderTokenUpdates {
		return providers.CauseDevice
	}
	return providers.CauseService
}

// outcome classifies the answer.
func (a answer) outcome() providers.Outcome {
	if a.status == http.StatusOK {
		return providers.Delivered()
	}
	v, documented := apnsreason.Verdicts[a.reason]
	if !documented {
		v = byStatus(a.status, a.reason != "")
	}
	o := providers.Outcome{Kind: v.Kind, Reason: v.Reason, Word: providers.Word(a.reason)}
	switch v.Kind {
	case providers.KindRejected:
		o.Since, o.Doubtful = a.timestamp, v.Doubtful
	case providers.KindRetry, providers.KindMisconfigured:
		o.RetryAfter = a.retryAfter
		o.Cause = a.cause()
	}
	return o
}
