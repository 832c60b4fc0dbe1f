package e2e

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// servePages serves a copy of the web client whose gateway is at a URL. Each has its own origin, so the browser has stored nothing for it.
func servePages(t *testing.T, gateway string) (url string) {
	t.Helper()
	folder := editedWebClient(t, map[string][]string{
		"config.js": {"gateway: new URL('/_matrix/push/v1/notify', location.origin).href", "gateway: '" + gateway + "/_matrix/push/v1/notify'"},
	})
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/"
}

// serveAnswer serves one answer for any request, to pages of any origin.
func serveAnswer(t *testing.T, status int, body string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestV07_ThePageSaysWhatToDoAboutAGateway(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	for name, tt := range map[string]struct {
		gateway string
		want    []string
	}{
		"is down":               {"http://" + hangsUp(t), []string{"does not answer", "Check that it runs", "config.js"}},
		"has no keys":           {serveAnswer(t, http.StatusOK, `{"unifiedpush":{"gateway":"matrix"}}`), []string{"has no key for browsers", "Add an app with webpush"}},
		"does not know the app": {serveAnswer(t, http.StatusNotFound, `{"errcode":"M_NOT_FOUND","error":"no app"}`), []string{"no app", "org.example.web", "Add one"}},
		"wants TLS":             {serveAnswer(t, http.StatusForbidden, `{"errcode":"M_FORBIDDEN","error":"TLS"}`), []string{"without TLS", "https URL", "plaintext allow"}},
		"is starting":           {serveAnswer(t, http.StatusServiceUnavailable, `{"errcode":"M_UNKNOWN","error":"starting"}`), []string{"is starting", "Reload"}},
		"is another server":     {serveAnswer(t, http.StatusOK, "<!doctype html>"), []string{"not a Matrix push gateway", "config.js"}},
		"has a broken key":      {serveAnswer(t, http.StatusOK, `{"webpush":{"org.example.web":{"application_server_key":"AAAA"}}}`), []string{"refuses the gateway’s key", "vapid_key_file"}},
	} {
		t.Log("a gateway that", name) // shown if the test fails; the browser belongs to the whole test
		p := b.Open(servePages(t, tt.gateway))
		if name == "has a broken key" {
			waitState(p, pushState, "off")
			p.Click("#turn-on")
		}
		wantSaid(p, pushMessage, tt.want...)
		p.Close()
	}
}

// wantSaid waits until a message about a trouble has all of these words.
func wantSaid(p *browsertest.Page, message string, words ...string) {
	for _, text := range append([]string{"Problem: "}, words...) {
		p.WaitText(message, text)
	}
	p.Wait(`document.querySelector("#main").ariaBusy === "false"`)
}

func TestV07_ThePageSaysWhatToDoAboutAHomeserver(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	page := servePages(t, serveAnswer(t, http.StatusOK, `{"webpush":{"org.example.web":{"application_server_key":"AAAA"}}}`))
	limited := func(ms int) refusal {
		return refusal{http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", map[string]any{"retry_after_ms": ms}}
	}
	p := b.Open(page)
	for name, tt := range map[string]struct {
		// server is what the user types, if it is not the homeserver of the tests.
		server string
		// answers are those to a request.
		request string
		answers []refusal
		want    []string
	}{
		"is down":              {"http://" + hangsUp(t), "", nil, []string{"does not answer", "Check the name"}},
		"is not one":           {serveAnswer(t, http.StatusOK, "{}"), "", nil, []string{"is not a Matrix homeserver", "Check the name"}},
		"has no TLS":           {"http://hs.test", "", nil, []string{"without encryption", "https://"}},
		"has no such name":     {"not a name", "", nil, []string{"not a server name", "example.org"}},
		"refuses the password": {"", "POST /login", []refusal{{http.StatusForbidden, "M_FORBIDDEN", nil}}, []string{"doesn’t allow that", "check the user name and the password"}},
		"has a limit":          {"", "POST /login", []refusal{limited(120_000)}, []string{"too many requests", "Try again in 120 seconds"}},
		"keeps its limit":      {"", "POST /login", []refusal{limited(1), limited(1)}, []string{"too many requests", "Try again in 1 seconds"}},
		"has only single sign-on": {"", "GET /login", []refusal{{http.StatusOK, "", map[string]any{"flows": []any{map[string]any{"type": "m.login.sso"}}}}}, []string{
			"no login with a password", "Sign in with an access token",
		}},
		"does not know the login": {"", "GET /login", []refusal{{http.StatusNotFound, "M_UNRECOGNIZED", nil}}, []string{"doesn’t know this request", "too old"}},
		"is broken":               {"", "POST /login", []refusal{{http.StatusBadGateway, "", nil}}, []string{"doesn’t work at the moment", "502", "Try again later"}},
		"refuses with its own code": {"", "POST /login", []refusal{{http.StatusBadRequest, "ORG_EXAMPLE_ODD", nil}}, []string{
			"ORG_EXAMPLE_ODD", "The reason of the homeserver",
		}},
	} {
		t.Log("a homeserver that", name)
		hs := newClientServer(t)
		p.Navigate(page)
		if tt.request != "" {
			hs.program(tt.request, tt.answers...)
		}
		signIn(p, cmp.Or(tt.server, hs.URL), hs.user, hs.password)
		wantSaid(p, accountMessage, tt.want...)
		waitState(p, accountState, "signed-out")
	}
}

// A limit of a few seconds is waited for.
func TestV07_ASignInWaitsForAHomeserverThatAsksForASecond(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	w.hs.program("POST /login", refusal{http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", map[string]any{"retry_after_ms": 900}})
	b := w.firefox()
	p := b.Open(w.url)
	w.signIn(p)
	waitState(p, accountState, "signed-in")
	w.hs.program("POST /pushers/set", refusal{http.StatusBadRequest, "M_INVALID_PARAM", nil})
	turnOn(p)
	wantSaid(p, accountMessage, "refuses a value: The reason of the homeserver", "config.js")
	p.Click("#register")
	waitState(p, accountState, "registered")
	w.gateway.terminate()
	p.Click("#send")
	wantSaid(p, pushMessage, "does not answer", "Check that it runs")
}

func TestV07_ThePageSaysWhatToDoWithoutAPushService(t *testing.T) {
	t.Parallel()
	impatient := map[string][]string{"lib/subscription.js": {"subscribeTime = 20_000", "subscribeTime = 2_000"}}
	for name, tt := range map[string]struct {
		start   func(testing.TB, ...browsertest.Option) *browsertest.Browser
		options []browsertest.Option
		edits   map[string][]string
		want    string
	}{
		"Firefox that cannot reach its own": {
			browsertest.Firefox, []browsertest.Option{browsertest.PushService("ws://" + hangsUp(t))}, impatient, "can’t reach its push service",
		},
		"Firefox that has none":  {browsertest.Firefox, nil, nil, "could not subscribe at its push service"},
		"Chromium that has none": {browsertest.Chromium, nil, impatient, "can’t reach its push service"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWebClient(t, "", tt.edits)
			p := tt.start(t, tt.options...).Open(w.url)
			waitState(p, pushState, "off")
			p.Click("#turn-on")
			wantSaid(p, pushMessage, tt.want, "this machine needs internet", "press “Turn on” again")
		})
	}
}

func TestV07_ThePageSaysWhatToDoIfItsWorkerDoesNotStart(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", map[string][]string{"worker.js": {"const { clients", "const const { clients"}})
	p := browsertest.Chromium(t).Open(w.url)
	wantSaid(p, pushMessage, "didn’t start this page’s service worker", "Reload the page")
	waitState(p, pushState, "unavailable")
}

func TestV07_ThePageSaysWhatIsLeftIfTheHomeserverCannotBeAsked(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.subscribed(w.firefox())
	down := refusal{http.StatusBadGateway, "", nil}
	w.hs.program("POST /pushers/set", down)
	p.Click("#turn-off")
	wantSaid(p, accountMessage, "Notifications are off, but", "deletes the pusher when the gateway rejects the next push")
	waitState(p, pushState, "off")
	w.hs.program("POST /logout", down)
	p.Click("#sign-out")
	wantSaid(p, accountMessage, "has forgotten your session", "End it in the settings of another client")
	waitState(p, accountState, "signed-out")
}

func TestV07_ThePageSaysThatNoPushHasCome(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", map[string][]string{"page/main.js": {"pushTime = 30_000", "pushTime = 1"}})
	p := w.firefox().Open(w.url)
	turnOn(p)
	w.service.Hold()
	p.Click("#send")
	wantSaid(p, pushMessage, "the browser has not received it yet", "Its log names the cause")
	w.service.Release()
	p.WaitText(pushMessage, "It works: this browser has received the push.")
}

func TestV07_ThePageSaysWhatToDoWithoutPermission(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	for name, start := range map[string]func(testing.TB, ...browsertest.Option) *browsertest.Browser{
		"Firefox": browsertest.Firefox, "Chromium": browsertest.Chromium,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.Deny(strings.TrimSuffix(w.url, "/"))
			p := b.Open(w.url)
			wantSaid(p, pushMessage, "blocks notifications from this page", "beside the address", "reload the page")
			waitState(p, pushState, "unavailable")
		})
	}
}
