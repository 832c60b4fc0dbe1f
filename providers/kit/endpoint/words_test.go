package endpoint

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Guards against the loss of all pushers of a push server that restarts behind a proxy.
func TestA404IsADeathOnlyByThePushServicesOwnWord(t *testing.T) {
	t.Parallel()
	const object, text = "application/json", "text/plain; charset=utf-8"
	tests := []struct {
		name, contentType, body string
		kind                    providers.Kind
	}{
		{"Traefik's", text, "404 page not found\n", providers.KindSuspected},
		{"a page", "text/html", "<html>Not Found</html>", providers.KindSuspected},
		{"nothing at all", "", "", providers.KindSuspected},
		{
			"autopush's invalid token", object, `{"code":404,"errno":102,"error":"Not Found","message":"Invalid token","more_info":"http://…"}`,
			providers.KindRejected,
		},
		{"with a charset", "Application/JSON; charset=utf-8", `{"code":404,"errno":102}`, providers.KindRejected},
		{"no such subscription", object, `{"code":410,"errno":106}`, providers.KindRejected},
		{"no such user agent", object, `{"code":410,"errno":103}`, providers.KindRejected},
		{"a user agent that went meanwhile", object, `{"code":410,"errno":105}`, providers.KindRejected},
		{"without its Content-Type", "", `{"code":404,"errno":102,"error":"Not Found"}`, providers.KindRejected},
		{"with a byte order mark", text, "\xef\xbb\xbf" + `{"code":404,"errno":102}`, providers.KindRejected},
		{"another of autopush's words", object, `{"code":404,"errno":110}`, providers.KindSuspected},
		{"an errno of Linux: ECONNABORTED", object, `{"errno":103,"strerror":"Software caused connection abort"}`, providers.KindSuspected},
		{"an errno of Linux and its name", object, `{"errno":105,"code":"ENOBUFS"}`, providers.KindSuspected},
		{"an errno of Linux and the status", object, `{"errno":103,"code":404}`, providers.KindSuspected},
		{"Google's sentence", text, "A valid push subscription endpoint should be specified in the URL as such: https://x/wp/y\n", providers.KindRejected},
		{"Google's sentence on a page", "text/html", "<p>push subscription has unsubscribed or expired.</p>", providers.KindSuspected},
		{"NextPush's", object, `{"success":false}`, providers.KindRejected},
		{"NextPush's, but from an unknown server", "text/html", `{"success":false}`, providers.KindSuspected},
		{"NextPush's and something else", object, `{"success":false,"message":"No route"}`, providers.KindSuspected},
		{"Kubernetes'", object, `{"kind":"Status","status":"Failure","reason":"NotFound","code":404}`, providers.KindSuspected},
		{"a problem of RFC 9457", "application/problem+json", `{"title":"Not Found","status":404}`, providers.KindSuspected},
		{"Apple's for a URL that is not Apple's", object, `{"reason":"BadPath"}`, providers.KindSuspected},
		{"Apple's in other capitals", object, `{"reason":"badwebpushtoken"}`, providers.KindSuspected},
		{"no word", object, `{"code":404,"errno":null}`, providers.KindSuspected},
		{"a word of another type", object, `{"errno":"102"}`, providers.KindSuspected},
		{"a word inside of something", object, `{"error":{"errno":102}}`, providers.KindSuspected},
		{"a word that is not JSON's", text, `{"errno":102}`, providers.KindSuspected},
		{"JSON of a proxy", object, `{"message":"no Route matched with those values"}`, providers.KindSuspected},
		{"JSON that is cut off", object, `{"errno":102`, providers.KindSuspected},
		{"more than an answer may be", object, `{"message":"` + strings.Repeat("x", maxResponse) + `","errno":102}`, providers.KindSuspected},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.contentType)
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(test.body))
			}))
			c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
			want(t, post(t.Context(), t, c, server.URL, providers.Site{}), test.kind, "not_found")
		})
	}
}

// Half a word may belong to a proxy, another key or a dead token. The status decides only where no word could change its meaning.
func TestAnAnswerWhoseWordIsCutOffIsForLater(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]providers.Outcome{
		400: {Kind: providers.KindRetry, Reason: "network", Cause: providers.CauseNetwork},
		401: {Kind: providers.KindRetry, Reason: "network", Cause: providers.CauseNetwork},
		403: {Kind: providers.KindRetry, Reason: "network", Cause: providers.CauseNetwork},
		404: {Kind: providers.KindRetry, Reason: "network", Cause: providers.CauseNetwork},
		410: {Kind: providers.KindRejected, Reason: "gone"},
		413: {Kind: providers.KindDropped, Reason: "too_large"},
		429: {Kind: providers.KindRetry, Reason: "rate_limited", Cause: providers.CauseDevice, Throttled: true},
		500: {Kind: providers.KindRetry, Reason: "server_error"},
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Length", "100")
				w.WriteHeader(status)
				_, _ = w.Write([]byte(`{"reason":"Quantum"`))
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}))
			c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
			o := post(t.Context(), t, c, server.URL, providers.Site{})
			o.Err = nil
			if o != want {
				t.Errorf("the outcome is %+v, want %+v", o, want)
			}
		})
	}
}
