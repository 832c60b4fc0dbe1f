package upstream

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/network"
)

// Outcome classifies a push server's answer, by RFC 8030 sections 5 and 7.3 and what servers make of it. A 413 is the caller's.
func Outcome(r Response, now time.Time) providers.Outcome {
	after := network.RetryAfter(r.Header.Get("Retry-After"), now)
	switch s := r.Status; {
	case s >= 200 && s < 300:
		return providers.Delivered() // 201 by the book; ntfy says 200, others 202 or 204
	case s == http.StatusNotFound && saysDead(r):
		return providers.Rejected("not_found")
	case s == http.StatusNotFound:
		return providers.Suspected("not_found") // a proxy says so as well while the push server restarts
	case s == http.StatusGone:
		return providers.Rejected("gone")
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		// The VAPID key or an access list of the push server: no proof that the subscription is dead.
		return providers.Misconfigured("http_"+strconv.Itoa(s), nil)
	case s == http.StatusTooManyRequests:
		return providers.Limited("rate_limited", after, nil)
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly:
		return providers.Retry("http_"+strconv.Itoa(s), after, nil)
	case s == http.StatusInsufficientStorage:
		return providers.Limited("no_subscriber", after, nil) // ntfy: nobody listens to the topic at the moment
	case s == http.StatusRequestEntityTooLarge:
		return providers.Dropped("too_large", nil)
	case s >= 400 && s < 500:
		return providers.Dropped("refused", nil) // the push server does not like this message, and will not like it later
	case s >= 300 && s < 400:
		return providers.Retry("redirect", after, nil) // never followed, and no proof of anything
	default:
		return providers.Retry("server_error", after, nil)
	}
}

// Failed classifies an error of Post. It keeps of the error what tells an operator something and cannot contain a secret.
func Failed(err error) providers.Outcome {
	switch {
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
