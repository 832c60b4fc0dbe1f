package upstream

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Guards against the loss of all pushers of a push server that restarts behind a proxy (issue 12, F10 of the public reports).
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
		{"no such user agent", object, `{"errno":103}`, providers.KindRejected},
		{"a user agent that went meanwhile", object, `{"errno":105}`, providers.KindRejected},
		{"another of autopush's words", object, `{"code":404,"errno":110}`, providers.KindSuspected},
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

func TestA404WhoseWordIsCutOffIsForLater(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errno":1`))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	o := post(t.Context(), t, c, server.URL, providers.Site{})
	if o.Kind != providers.KindRetry || o.Cause != providers.CauseNetwork {
		t.Errorf("the outcome is %+v", o)
	}
}
