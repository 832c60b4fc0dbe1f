package apns

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

// byStatus returns the verdict if APNs gives no reason, or an undocumented one. A 410 means that the token is dead, but only if APNs itself
// answers, not another server. A 401, 403 or 407 is for the operator, who chose the route to APNs:
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns.
func byStatus(status int, fromAPNs bool) apnsreason.Verdict {
	v := apnsreason.Verdict{Reason: "http_" + strconv.Itoa(status)}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		v.Kind = providers.KindMisconfigured
		return v
	case http.StatusRequestEntityTooLarge:
		v.Kind = providers.KindDropped
		return v
	}
	switch {
	case !fromAPNs, status == http.StatusTooManyRequests, status < 400, status >= 500:
		v.Kind = providers.KindRetry
	case status == http.StatusGone:
		v.Kind, v.Doubtful = providers.KindRejected, true
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		v.Kind = providers.KindDropped
	default:
		v.Kind = providers.KindMisconfigured
	}
	return v
}

// cause returns who a retry concerns. Too many provider tokens are a 429 too, but not about a device.
func (a answer) cause() providers.Cause {
	switch {
	case a.reason == apns2.ReasonTooManyRequests,
		a.status == http.StatusTooManyRequests && a.reason != apns2.ReasonTooManyProviderTokenUpdates:
		return providers.CauseDevice
	default:
		return providers.CauseService
	}
}

const (
	// maxLimited is how long pushes to one device are held back at most.
	maxLimited = time.Hour
	// maxRefused is how often a push is tried again if the answer calls it wrong but still asks for a retry.
	maxRefused = 3
)

// limited returns the outcome of a 4xx with a Retry-After but no documented reason: it concerns this device.
func (a answer) limited() providers.Outcome {
	o := providers.Limited(byStatus(a.status, false).Reason, a.retryAfter, nil)
	if a.status == http.StatusBadRequest || a.status == http.StatusUnprocessableEntity {
		o.MaxTries = maxRefused
	}
	return o
}

// isLimited reports whether an answer without a documented reason asks for a retry later. A 410 and a 413 are final.
func (a answer) isLimited() bool {
	return a.retryAfter > 0 && a.status >= 400 && a.status < 500 &&
		a.status != http.StatusGone && a.status != http.StatusRequestEntityTooLarge
}

// outcome classifies the answer: by its reason if that is documented, otherwise by 410, 413, Retry-After and the status, in this order.
func (a answer) outcome() providers.Outcome {
	if a.status == http.StatusOK {
		return providers.Delivered()
	}
	o := a.verdict()
	o.Word = providers.Word(a.reason)
	if o.Cause == providers.CauseDevice {
		o.RetryAfter = min(o.RetryAfter, maxLimited)
	}
	return o
}

func (a answer) verdict() providers.Outcome {
	v, documented := apnsreason.Verdicts[a.reason]
	switch {
	case documented:
	case a.isLimited():
		return a.limited()
	default:
		v = byStatus(a.status, a.reason != "")
	}
	o := providers.Outcome{Kind: v.Kind, Reason: v.Reason}
	switch v.Kind {
	case providers.KindRejected:
		o.Since, o.Doubtful = a.timestamp, v.Doubtful
	case providers.KindRetry, providers.KindMisconfigured:
		o.RetryAfter, o.Cause = a.retryAfter, a.cause()
	}
	return o
}
