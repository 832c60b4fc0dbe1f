package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// ErrOtherServer means that a request was not sent because it is for a server other than the client's. That is a bug in the provider,
// such as using kit/service instead of kit/endpoint for a URL from a pusher's data.
var ErrOtherServer = errors.New("the request is for a server other than the push service's: use kit/endpoint for URLs that users choose")

// Failed classifies the error of a request that got no answer. In nearly all cases, the push may be delivered later. The outcome has
// only those parts of the error that help an operator and cannot contain a secret. It shows if the proxy does not work.
func Failed(err error) providers.Outcome {
	o := failed(err)
	if isProxy(err) {
		o.Proxy, o.Err = true, fmt.Errorf("the proxy does not work: %w", o.Err)
	}
	return o
}

// proxyConnect is the operation in the errors of net/http about a proxy that it cannot connect to.
const proxyConnect = "proxyconnect"

func isProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == proxyConnect
}

// ProxyAnswered is the OnProxyConnectResponse of a transport. It marks the error of a proxy that refuses the gateway's login.
func ProxyAnswered(_ context.Context, _ *url.URL, _ *http.Request, r *http.Response) error {
	if r.StatusCode != http.StatusProxyAuthRequired {
		return nil
	}
	return &net.OpError{Op: proxyConnect, Net: "tcp", Err: errors.New("it wants another user and password")}
}

func failed(err error) providers.Outcome {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var unknownCA x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.Is(err, ErrOtherServer):
		return providers.Dropped("other_server", ErrOtherServer) // not a retry: many of them would open the breaker
	case errors.As(err, &certificate), errors.As(err, &unknownCA), errors.As(err, &hostname):
		return providers.Unreachable("tls", errors.New("the server's certificate could not be verified"))
	case errors.As(err, &record):
		return providers.Unreachable("tls", errors.New("the server does not speak TLS"))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), isTimeout(err):
		return providers.Unreachable("timeout", errors.New("no answer in time"))
	case errors.As(err, &dns):
		return providers.Unreachable("dns", errors.New("the host's name could not be resolved"))
	case errors.As(err, &op):
		return providers.Unreachable("network", op.Err)
	default:
		return providers.Unreachable("network", errors.New("the request failed"))
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

const maxRetryAfter = 24 * time.Hour

// RetryAfter parses a Retry-After header (RFC 9110 section 10.2.3): seconds, or a date. It returns 0 if the value is missing or
// invalid, and a day at most.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0 // nearly always; to read nothing as a number and as a time made eight allocations
	}
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
