package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestAnAnswerIsClassifiedByItsStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		kind   providers.Kind
		reason string
	}{
		{200, providers.KindDelivered, "delivered"},
		{201, providers.KindDelivered, "delivered"},
		{202, providers.KindDelivered, "delivered"}, // common-proxies treats it differently
		{204, providers.KindDelivered, "delivered"}, // common-proxies treats it differently
		{301, providers.KindRetry, "redirect"},
		{302, providers.KindRetry, "redirect"},
		{304, providers.KindRetry, "redirect"},
		{308, providers.KindRetry, "redirect"},
		{400, providers.KindDropped, "refused"},
		{401, providers.KindMisconfigured, "http_401"},
		{403, providers.KindMisconfigured, "http_403"},
		{404, providers.KindSuspected, "not_found"},
		{405, providers.KindDropped, "refused"},
		{408, providers.KindRetry, "http_408"},
		{410, providers.KindRejected, "gone"}, // common-proxies treats it differently
		{413, providers.KindDropped, "too_large"},
		{425, providers.KindRetry, "http_425"},
		{429, providers.KindRetry, "rate_limited"},
		{451, providers.KindDropped, "refused"},
		{500, providers.KindRetry, "server_error"},
		{502, providers.KindRetry, "server_error"},
		{503, providers.KindRetry, "server_error"},
		{507, providers.KindRetry, "no_subscriber"},
		{599, providers.KindRetry, "server_error"},
		{600, providers.KindRetry, "server_error"},
		{0, providers.KindRetry, "server_error"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			t.Parallel()
			o := Outcome(Response{Status: test.status}, noon)
			want(t, o, test.kind, test.reason)
			first := time.Duration(0)
			if test.status == 507 {
				first = time.Minute // next.md 3: a topic's subscriber rarely comes sooner
			}
			if o.Unusable || o.Doubtful || o.RetryAfter != first {
				t.Errorf("the outcome is %+v", o)
			}
		})
	}
}

func TestAnAnswerSaysWhomARetryConcerns(t *testing.T) {
	t.Parallel()
	for cause, statuses := range map[providers.Cause][]int{
		providers.CauseDevice:  {429, 507},
		providers.CauseService: {301, 302, 307, 308, 408, 425, 500, 502, 503, 504, 599},
	} {
		for _, status := range statuses {
			if o := Outcome(Response{Status: status}, noon); o.Kind != providers.KindRetry || o.Cause != cause {
				t.Errorf("%d is %+v, want the cause %d", status, o, cause)
			}
		}
	}
}

func TestOnlyA429SaysThatTheHostLimitsTheGateway(t *testing.T) {
	t.Parallel()
	for status := 200; status < 600; status++ {
		for _, header := range []http.Header{{}, {"Retry-After": {"30"}}} {
			o := Outcome(Response{Status: status, Header: header}, time.Now())
			if o.Throttled != (status == http.StatusTooManyRequests) {
				t.Errorf("%d is throttled: %t", status, o.Throttled)
			}
		}
	}
	inSubscription := Response{Status: http.StatusNotAcceptable, Header: http.Header{"X-Wns-Status": {"channelthrottled"}}}
	if Outcome(inSubscription, time.Now()).Throttled {
		t.Error("the limit of one channel is the host's")
	}
}

func TestARetryIsNotMadeBeforeTheServerWantsIt(t *testing.T) {
	t.Parallel()
	for _, status := range []int{307, 400, 402, 404, 406, 408, 409, 422, 425, 429, 451, 499, 500, 503, 507} {
		for _, after := range []string{"77", "Wed, 01 Jul 2026 12:01:17 GMT"} {
			o := Outcome(Response{Status: status, Header: http.Header{"Retry-After": {after}}}, noon)
			if o.Kind != providers.KindRetry || o.RetryAfter != 77*time.Second {
				t.Errorf("%d with Retry-After %s is %+v", status, after, o)
			}
		}
	}
	if o := Outcome(Response{Status: 507, Header: http.Header{"Retry-After": {"7"}}}, noon); o.RetryAfter != time.Minute {
		t.Errorf("507 is looked at again after %s, want a minute at least", o.RetryAfter)
	}
}

// Guards against losing a push that its server wants later, and against a server that delays its own devices for a day.
func TestA4xxWithARetryAfterConcernsThisDeviceForAnHourAtMost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status, tries int
		reason        string
	}{
		{400, 3, "refused"},
		{401, 0, "throttled"},
		{403, 0, "throttled"},
		{404, 0, "throttled"},
		{406, 0, "throttled"}, // WNS' form of a 429: https://github.com/web-push-libs/web-push-php/issues/348
		{408, 0, "http_408"},
		{422, 3, "refused"},
		{425, 0, "http_425"},
		{429, 0, "rate_limited"},
		{451, 0, "throttled"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			t.Parallel()
			for after, wait := range map[string]time.Duration{
				"0": 0, "60": time.Minute, "7200": time.Hour, "99999999999999": time.Hour,
				"Wed, 01 Jul 2026 11:00:00 GMT": 0, "Fri, 03 Jul 2026 12:00:00 GMT": time.Hour,
			} {
				o := Outcome(Response{Status: test.status, Header: http.Header{"Retry-After": {after}}}, noon)
				want(t, o, providers.KindRetry, test.reason)
				if o.Cause != providers.CauseDevice || o.MaxTries != test.tries || o.RetryAfter != wait {
					t.Errorf("with Retry-After %s, it is %+v", after, o)
				}
			}
			for _, after := range []string{"", "soon", "-1", "1.5"} {
				o := Outcome(Response{Status: test.status, Header: http.Header{"Retry-After": {after}}}, noon)
				if plain := Outcome(Response{Status: test.status}, noon); o != plain {
					t.Errorf("with Retry-After %q, it is %+v, want %+v", after, o, plain)
				}
			}
		})
	}
	for _, status := range []int{410, 413} {
		o := Outcome(Response{Status: status, Header: http.Header{"Retry-After": {"60"}}}, noon)
		if o.Kind == providers.KindRetry || o.RetryAfter != 0 {
			t.Errorf("%d with a Retry-After is %+v", status, o)
		}
	}
}

// Guards against a mistake of common-proxies: it took failures of its own network for an answer about the pushkey.
func TestRegressionCommonProxiesAFailureOfTheNetworkIsForLater(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	closed := providertest.NewTLSServer(t, created)
	closed.Close()
	other := providertest.NewTLSServer(t, created, "push.example")
	plain := plainServer(t)
	trusting := Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}}
	trustingOther := Options{Options: network.Options{TrustedCA: other.CAFile}, AllowPrivate: []string{"127.0.0.1"}}
	tests := []struct {
		name, endpoint, reason string
		options                Options
	}{
		{"nobody listens", at(t, closed, "https://127.0.0.1:PORT/secret?secret"), "network", trusting},
		{
			"the authority is unknown", at(t, server, "https://127.0.0.1:PORT/secret?secret"), "tls",
			Options{AllowPrivate: []string{"127.0.0.1"}},
		},
		{"the certificate is for another host", other.URL + "/secret?secret", "tls", trustingOther},
		{"the server does not speak TLS", "https://" + plain + "/secret?secret", "tls", trusting},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := post(t.Context(), t, newClient(t, test.options), test.endpoint, providers.Site{})
			want(t, o, providers.KindRetry, test.reason)
			wantNoSecret(t, o)
		})
	}
}

func TestAnEndedContextIsATimeout(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, post(ctx, t, c, server.URL+"/secret", providers.Site{}), providers.KindRetry, "timeout")
}

func TestAnErrorIsClassifiedWithoutShowingTheEndpoint(t *testing.T) {
	t.Parallel()
	refused := errors.New("connection refused")
	tests := []struct {
		name, reason string
		kind         providers.Kind
		err          error
	}{
		{"the guard", "blocked", providers.KindDropped, &net.OpError{Op: "dial", Err: errBlocked}},
		{"a busy host", "host_busy", providers.KindRetry, fmt.Errorf("/secret: %w", errInLine)},
		{"a deadline", "timeout", providers.KindRetry, fmt.Errorf("/secret: %w", context.DeadlineExceeded)},
		{"an end", "timeout", providers.KindRetry, fmt.Errorf("/secret: %w", context.Canceled)},
		{"a dial that takes too long", "timeout", providers.KindRetry, &net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true}}},
		{"a name that there is not", "dns", providers.KindRetry, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "secret", IsNotFound: true}}},
		{"the network", "network", providers.KindRetry, &net.OpError{Op: "dial", Err: refused}},
		{"anything else", "network", providers.KindRetry, errors.New(`Post "https://push.example/secret": failed`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := Failed(test.err)
			want(t, o, test.kind, test.reason)
			cause := providers.CauseNetwork
			switch test.reason {
			case "host_busy":
				cause = providers.CauseGateway
			case "blocked":
				cause = 0
			}
			if o.Cause != cause || o.Blocked != (test.reason == "blocked") {
				t.Errorf("the outcome is %+v, want the cause %d", o, cause)
			}
			wantNoSecret(t, o)
		})
	}
}

func wantNoSecret(t *testing.T, o providers.Outcome) {
	t.Helper()
	if o.Err == nil || strings.Contains(o.Err.Error(), "secret") {
		t.Errorf("the error is %v", o.Err)
	}
}

// plainServer returns the address of a server that speaks plain HTTP.
func plainServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: created, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return listener.Addr().String()
}
