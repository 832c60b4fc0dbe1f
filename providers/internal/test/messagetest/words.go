package messagetest

import (
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// meanings are the outcomes of the push services' recorded answers, by service and name.
var meanings = map[string]providers.Outcome{
	"autopush: invalid token":                     said("102", dead("not_found")),
	"autopush: invalid API version":               said("102", dead("not_found")),
	"autopush: no user":                           said("103", dead("gone")),
	"autopush: user deleted":                      said("105", dead("gone")),
	"autopush: no subscription":                   said("106", dead("gone")),
	"autopush: no user of a bridge":               said("106", dead("gone")),
	"autopush: overflow":                          said("104", tooLarge),
	"autopush: too long for a bridge":             said("104", tooLarge),
	"autopush: another key":                       said("109", wrongKey),
	"autopush: no key":                            said("109", badToken),
	"autopush: no token":                          said("109", badToken),
	"autopush: an invalid key":                    said("109", badToken),
	"autopush: a wrong claim":                     said("109", badToken),
	"autopush: another audience":                  said("109", badToken),
	"autopush: an expiry too far":                 said("109", badToken),
	"autopush: expired":                           said("109", badToken),
	"autopush: a wrong signature":                 said("109", badToken),
	"autopush: an unknown scheme":                 said("109", badToken),
	"autopush: bad encryption":                    said("110", refused),
	"autopush: no TTL":                            said("111", refused),
	"autopush: a bad topic":                       said("113", refused),
	"autopush: a negative TTL":                    said("114", refused),
	"autopush: a bad router type":                 said("108", refused),
	"autopush: a bad message id":                  refused,
	"autopush: a limit of a bridge":               said("201", after(117*time.Second, rateLimited)),
	"autopush: a database error":                  said("201", after(2*time.Minute, serverError)),
	"autopush: an internal error":                 serverError,
	"autopush: a bridge's login":                  said("901", serverError),
	"autopush: a bridge that is away":             said("902", serverError),
	"autopush: a bridge that is slow":             said("903", serverError),
	"autopush: another key, in Python":            said("102", wrongKey),
	"autopush: expired, in Python":                said("109", badToken),
	"autopush: no authorization, in Python":       said("109", badToken),
	"Google: unsubscribed":                        dead("gone"),
	"Google: not used for 270 days":               dead("not_found"),
	"Google: another key":                         wrongKey,
	"Google: another key, earlier":                wrongKey,
	"Google: a bad token":                         badToken,
	"Google: a bad token, later":                  badToken,
	"Google: a bad audience":                      badToken,
	"Google: another audience":                    badToken,
	"Google: an expiry too far":                   badToken,
	"Google: expired":                             badToken,
	"Google: no expiry":                           badToken,
	"Google: no login":                            badToken,
	"Google: a short key":                         badToken,
	"Google: a compressed key":                    badToken,
	"Google: a key of another curve":              badToken,
	"Google: no key":                              badToken,
	"Google: an empty key":                        badToken,
	"Google: not registered":                      said("NotRegistered", dead("gone")),
	"Google: unauthorized":                        said("UnauthorizedRegistration", badToken),
	"Google: unauthorized, with 401":              said("UnauthorizedRegistration", badToken),
	"Google: a bad TTL":                           said("InvalidTtlParameter", refused),
	"Google: too large":                           tooLarge,
	"Google: too many":                            after(30*time.Second, rateLimited),
	"Apple: BadWebPushToken with 400":             said("BadWebPushToken", dead("not_found")),
	"Apple: Unregistered with 410":                said("Unregistered", dead("gone")),
	"Apple: VapidPkHashMismatch with 400":         said("VapidPkHashMismatch", wrongKey),
	"Apple: VapidPkHashMismatch with 403":         said("VapidPkHashMismatch", wrongKey),
	"Apple: BadJwtToken with 403":                 said("BadJwtToken", badToken),
	"Apple: BadVapidPublicKey with 400":           said("BadVapidPublicKey", badToken),
	"Apple: BadVapidPublicKey with 403":           said("BadVapidPublicKey", badToken),
	"Apple: BadAuthorizationHeader with 400":      said("BadAuthorizationHeader", badToken),
	"Apple: BadAuthorizationHeader with 403":      said("BadAuthorizationHeader", badToken),
	"Apple: BadTtl with 400":                      said("BadTtl", refused),
	"Apple: BadUrgency with 400":                  said("BadUrgency", refused),
	"Apple: BadWebPushRequest with 400":           said("BadWebPushRequest", refused),
	"Apple: BadWebPushTopic with 400":             said("BadWebPushTopic", refused),
	"Apple: IdleTimeout with 400":                 said("IdleTimeout", serverError),
	"Apple: BadPath with 404":                     said("BadPath", suspected),
	"Apple: MethodNotAllowed with 405":            said("MethodNotAllowed", refused),
	"Apple: PayloadTooLarge with 413":             said("PayloadTooLarge", tooLarge),
	"Apple: TooManyRequests with 429":             said("TooManyRequests", rateLimited),
	"Apple: InternalServerError with 500":         said("InternalServerError", serverError),
	"Apple: ServiceUnavailable with 503":          said("ServiceUnavailable", serverError),
	"Apple: Shutdown with 503":                    said("Shutdown", serverError),
	"WNS: received":                               delivered,
	"WNS: received, with 201":                     delivered,
	"WNS: dropped":                                said("dropped", notDelivered),
	"WNS: the device is offline":                  said("dropped", notDelivered),
	"WNS: the channel is throttled":               said("channelthrottled", after(90*time.Second, limited("throttled"))),
	"WNS: a TTL of 0":                             refused,
	"WNS: another key":                            wrongKey,
	"WNS: a bad token":                            badToken,
	"WNS: no login":                               misconfigured("http_401"),
	"WNS: not allowed":                            misconfigured("http_403"),
	"WNS: an unknown channel":                     dead("not_found"),
	"WNS: another method":                         refused,
	"WNS: throttled":                              said("channelthrottled", after(2*time.Minute, limited("throttled"))),
	"WNS: throttled, without a time":              said("channelthrottled", limited("throttled")),
	"WNS: dropped, with 406":                      limited("throttled"),
	"WNS: throttled, without a state":             after(2*time.Minute, limited("throttled")),
	"WNS: an expired channel":                     dead("gone"),
	"WNS: a revoked channel":                      said("revoked", dead("gone")),
	"WNS: a blocked domain":                       misconfigured("sender_blocked"),
	"WNS: too large":                              tooLarge,
	"WNS: an internal error":                      serverError,
	"WNS: unavailable":                            after(5*time.Minute, serverError),
	"ntfy: 40009":                                 said("40009", refused),
	"ntfy: 40010":                                 said("40010", refused),
	"ntfy: 40019":                                 said("40019", refused),
	"ntfy: 40101":                                 said("40101", misconfigured("http_401")),
	"ntfy: 40301":                                 said("40301", misconfigured("http_403")),
	"ntfy: 40401":                                 said("40401", misconfigured("no_such_page")),
	"ntfy: 41301":                                 said("41301", tooLarge),
	"ntfy: 41302":                                 said("41302", tooLarge),
	"ntfy: 42901":                                 said("42901", rateLimited),
	"ntfy: 42905":                                 said("42905", rateLimited),
	"ntfy: 42908":                                 said("42908", rateLimited),
	"ntfy: 42909":                                 said("42909", rateLimited),
	"ntfy: 50001":                                 said("50001", serverError),
	"ntfy: 50003":                                 said("50003", serverError),
	"ntfy: 50701":                                 said("50701", after(time.Minute, limited("no_subscriber"))),
	"NextPush: taken":                             delivered,
	"NextPush: no such endpoint":                  dead("not_found"),
	"a proxy: Traefik's 404":                      suspected,
	"a proxy: Kong's 404":                         suspected,
	"a proxy: a page with 502":                    serverError,
	"a proxy: Kubernetes' 404":                    said("NotFound", suspected),
	"a proxy: an errno of Linux":                  said("103", suspected),
	"a proxy: a 406":                              refused,
	"another: a word with 400":                    said("QuantumFluxInverted", refused),
	"another: a word as a problem":                said("E_QUANTUM", misconfigured("http_403")),
	"another: an errno of autopush's that is new": said("151", refused),
}

var (
	delivered    = providers.Outcome{Kind: providers.KindDelivered, Reason: "delivered"}
	suspected    = providers.Outcome{Kind: providers.KindSuspected, Reason: "not_found"}
	tooLarge     = providers.Outcome{Kind: providers.KindDropped, Reason: "too_large"}
	refused      = providers.Outcome{Kind: providers.KindDropped, Reason: "refused"}
	serverError  = providers.Outcome{Kind: providers.KindRetry, Reason: "server_error"}
	badToken     = misconfigured("vapid_refused")
	wrongKey     = providers.Outcome{Kind: providers.KindMisconfigured, Reason: "vapid_key_mismatch", WrongKey: true, RetryAfter: time.Hour}
	rateLimited  = providers.Outcome{Kind: providers.KindRetry, Reason: "rate_limited", Cause: providers.CauseDevice, Throttled: true}
	notDelivered = providers.Outcome{
		Kind: providers.KindRetry, Reason: "not_delivered", Cause: providers.CauseDevice, RetryAfter: time.Minute, MaxTries: 3,
	}
)

func dead(reason string) providers.Outcome {
	return providers.Outcome{Kind: providers.KindRejected, Reason: reason}
}

func misconfigured(reason string) providers.Outcome {
	return providers.Outcome{Kind: providers.KindMisconfigured, Reason: reason}
}

func limited(reason string) providers.Outcome {
	return providers.Outcome{Kind: providers.KindRetry, Reason: reason, Cause: providers.CauseDevice}
}

func after(d time.Duration, o providers.Outcome) providers.Outcome {
	o.RetryAfter = d
	return o
}

func said(word string, o providers.Outcome) providers.Outcome {
	o.Word = word
	return o
}

// Words checks the outcome of each recorded answer of a push service, and that each reason is on the provider's page with what to do. Push
// sends to a new endpoint, and passes its URL to answers first.
func Words(t *testing.T, page string, push func(t *testing.T, answers func(endpoint string) providertest.Answer) providers.Outcome) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## What goes wrong")
	unused := make(map[string]bool)
	for name := range meanings {
		unused[name] = true
	}
	for _, r := range providertest.RecordedAnswers() {
		name := r.Service + ": " + r.Name
		delete(unused, name)
		t.Run(name, func(t *testing.T) {
			want, ok := meanings[name]
			if !ok {
				t.Fatalf("its meaning is missing (%s)", r.Source)
			}
			var path string
			got := push(t, func(endpoint string) providertest.Answer {
				u, err := url.Parse(endpoint)
				if err != nil {
					t.Fatal(err)
				}
				path = u.Path
				return r.To(path)
			})
			wantMeaning(t, got, want, r.Source)
			if got.Err != nil && strings.Contains(got.Err.Error(), path) {
				t.Error("the error shows the endpoint")
			}
			if got.Kind != providers.KindDelivered && !strings.Contains(table, "`"+got.Reason+"`") {
				t.Errorf("%s has no %s", page, got.Reason)
			}
		})
	}
	for name := range unused {
		t.Errorf("%s is not recorded", name)
	}
}

// wantMeaning compares all of an outcome except its error, which must exist if an operator must act on a token.
func wantMeaning(t *testing.T, got, want providers.Outcome, source string) {
	t.Helper()
	if strings.HasPrefix(got.Reason, "vapid_") && got.Err == nil {
		t.Errorf("%s gives no hint", got.Reason)
	}
	got.Err = nil
	if got != want {
		t.Errorf("the outcome is\n%+v, want\n%+v\n(%s)", got, want, source)
	}
}
