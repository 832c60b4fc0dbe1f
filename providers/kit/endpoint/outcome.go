package endpoint

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/pushword"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

const (
	// TooLarge is the reason for a message that is too large for the push server.
	TooLarge = "too_large"

	// maxRefusalWait is how long a push waits at most because of a 4xx. Such an answer concerns only one device, since it comes from one
	// path.
	maxRefusalWait = time.Hour
	// minSubscriberWait is how long a push waits at least for a subscriber to connect.
	minSubscriberWait = time.Minute
	// refusedTries is how often a message is tried if the push server calls it bad and also asks to retry it later.
	refusedTries = 3
)

// Outcome classifies the answer of a Web Push or UnifiedPush server: by the server's own word if it is known, and otherwise by the
// status. It is not for other services, where a 410 may have another meaning.
func Outcome(r Response, now time.Time) providers.Outcome {
	retryAfter := r.Header.Get("Retry-After")
	after := network.RetryAfter(retryAfter, now)
	o, decided := pushword.Read(pushword.Answer{
		Status: r.Status, Header: r.Header, Body: r.Body, Secrets: r.secrets, Content: r.content,
	})
	if !decided {
		word := o.Word
		o = byStatus(r.Status, asksForLater(retryAfter))
		if o.Kind != providers.KindDelivered {
			o.Word = word
		}
	}
	if o.Kind != providers.KindRetry && o.Kind != providers.KindMisconfigured {
		return o
	}
	o.Throttled = r.Status == http.StatusTooManyRequests && o.Kind == providers.KindRetry
	o.RetryAfter = max(o.RetryAfter, after)
	if r.Status < 500 {
		o.RetryAfter = min(o.RetryAfter, maxRefusalWait)
	}
	return o
}

// byStatus returns what a status means by RFC 8030 sections 5 and 7.3, and in the practice of servers. The argument later reports
// whether there is a Retry-After.
func byStatus(s int, later bool) providers.Outcome {
	switch {
	case s >= 200 && s < 300:
		return providers.Delivered() // 201 by the RFC; ntfy answers 200, others 202 or 204
	case s == http.StatusInsufficientStorage:
		return providers.Limited("no_subscriber", minSubscriberWait, nil) // ntfy: the topic has no subscriber at the moment
	case s >= 300 && s < 400:
		return providers.Retry("redirect", 0, nil) // never followed, and proves nothing
	case s < 400 || s >= 500:
		return providers.Retry("server_error", 0, nil)
	case s == http.StatusGone:
		return providers.Rejected("gone")
	case s == http.StatusRequestEntityTooLarge:
		return providers.Dropped(TooLarge, nil)
	case s == http.StatusTooManyRequests:
		return providers.Limited("rate_limited", 0, nil)
	case later:
		return forLater(s)
	default:
		return refusal(s)
	}
}

// forLater returns what any other 4xx with a Retry-After means. It concerns only this device.
func forLater(s int) providers.Outcome {
	switch s {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		o := providers.Limited("refused", 0, nil) // a bad message rarely gets better
		o.MaxTries = refusedTries
		return o
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return providers.Limited("http_"+strconv.Itoa(s), 0, nil)
	default:
		return providers.Limited("throttled", 0, nil)
	}
}

// refusal returns what any other 4xx means.
func refusal(s int) providers.Outcome {
	switch s {
	case http.StatusUnauthorized, http.StatusForbidden:
		// The VAPID key or an access list of the push server: this does not prove that the subscription is dead.
		return providers.Misconfigured("http_"+strconv.Itoa(s), nil)
	case http.StatusNotFound:
		return providers.Suspected("not_found") // a proxy may answer so while the push server restarts
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return providers.Retry("http_"+strconv.Itoa(s), 0, nil)
	default:
		return providers.Dropped("refused", nil) // the push server refuses this message, now and later
	}
}

// asksForLater reports whether a Retry-After is valid, even if its time has passed.
func asksForLater(retryAfter string) bool {
	if retryAfter == "" {
		return false
	}
	if _, err := strconv.ParseUint(retryAfter, 10, 63); err == nil {
		return true
	}
	_, err := http.ParseTime(retryAfter)
	return err == nil
}

// Failed classifies an error of [Client.Post]. The outcome has only those parts of the error that help an operator and cannot contain a
// secret.
func Failed(err error) providers.Outcome {
	switch {
	case errors.Is(err, errNotParsed):
		return providers.Dropped("bad_endpoint", errNotParsed)
	case errors.Is(err, errThisMachine):
		return providers.Blocked("blocked", errThisMachine)
	case errors.Is(err, errBlocked):
		return providers.Blocked("blocked", errBlocked)
	case errors.Is(err, errOwnPath):
		return providers.Blocked("own_path", errOwnPath)
	case errors.Is(err, errInLine):
		return providers.Busy("host_busy", errInLine)
	case errors.Is(err, errAddressBusy):
		return providers.Busy("address_busy", errAddressBusy)
	case errors.Is(err, errNoSuchName):
		o := providers.Unreachable("dns", errNoSuchName)
		o.NoSuchName = true
		return o
	default:
		return network.Failed(err)
	}
}
