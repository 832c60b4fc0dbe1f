package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Outcome classifies a push server's answer, by RFC 8030 sections 5 and 7.3 and what servers make of it. A 413 is the caller's.
func Outcome(r Response, now time.Time) providers.Outcome {
	after := RetryAfter(r.Header.Get("Retry-After"), now)
	switch s := r.Status; {
	case s >= 200 && s < 300:
		return providers.Delivered() // 201 by the book; ntfy says 200, others 202 or 204
	case s == http.StatusNotFound:
		return providers.Rejected("not_found")
	case s == http.StatusGone:
		return providers.Rejected("gone")
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		// The VAPID key or an access list of the push server: no proof that the subscription is dead.
		return providers.Misconfigured("http_"+strconv.Itoa(s), nil)
	case s == http.StatusTooManyRequests:
		return providers.Retry("rate_limited", after, nil)
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly:
		return providers.Retry("http_"+strconv.Itoa(s), after, nil)
	case s == http.StatusInsufficientStorage:
		return providers.Retry("no_subscriber", after, nil) // ntfy: nobody listens to the topic at the moment
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
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var unknownCA x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.Is(err, errBlocked):
		return providers.Dropped("blocked", errBlocked)
	case errors.Is(err, limit.ErrBusy):
		return providers.Retry("host_busy", 0, err)
	case errors.As(err, &certificate), errors.As(err, &unknownCA), errors.As(err, &hostname):
		return providers.Retry("tls", 0, errors.New("the server's certificate could not be verified"))
	case errors.As(err, &record):
		return providers.Retry("tls", 0, errors.New("the server does not speak TLS"))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), isTimeout(err):
		return providers.Retry("timeout", 0, errors.New("no answer in time"))
	case errors.As(err, &dns):
		return providers.Retry("dns", 0, errors.New("the host's name could not be resolved"))
	case errors.As(err, &op):
		return providers.Retry("network", 0, op.Err)
	default:
		return providers.Retry("network", 0, errors.New("the request failed"))
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

const maxRetryAfter = 24 * time.Hour

// RetryAfter reads the header of RFC 9110 section 10.2.3: seconds, or a date. It is 0 if there is none or it makes no sense.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
