package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// silent is a provider that advertises nothing.
type silent struct{ providers.Provider }

// advertising is a provider that advertises something.
type advertising struct{ ad providers.Advertisement }

func (advertising) Push(context.Context, *providers.Push) providers.Outcome {
	return providers.Delivered()
}

func (a advertising) Advertise() providers.Advertisement { return a.ad }

func browsers(key string) providers.Provider {
	return advertising{providers.Advertisement{ApplicationServerKey: key}}
}

func phones(key string) providers.Provider {
	return advertising{providers.Advertisement{UnifiedPush: true, ApplicationServerKey: key}}
}

// describing returns a handler that serves some of the apps; all if none are named.
func describing(t *testing.T, apps map[string]providers.Provider, served ...string) *Handler {
	t.Helper()
	var list []*gateway.App
	for pattern, provider := range apps {
		list = append(list, &gateway.App{Pattern: pattern, ProviderName: "fake", Provider: provider, Limit: limit.NewFair(1, 1)})
	}
	router, err := gateway.NewRouter(list)
	if err != nil {
		t.Fatal(err)
	}
	app := &App{started: make(chan struct{}), gateway: gateway.New(gateway.Options{Router: router, Shared: gateway.NewShared()})}
	h := &Handler{Plaintext: "allow", app: app, serves: func(*gateway.App) bool { return true }}
	if len(served) > 0 {
		h.serves = func(a *gateway.App) bool { return strings.Contains(strings.Join(served, " ")+" ", a.Pattern+" ") }
	}
	return h
}

// get requests the document.
func (h *Handler) get(t *testing.T, method, query string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), method, endpoint, nil)
	r.URL.RawQuery = query
	if err := h.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s %s: the header is %v", method, query, w.Header())
	}
	return w
}

func TestAKeyIsFoundByAppID(t *testing.T) {
	t.Parallel()
	const (
		up    = `"gateway":"matrix","unifiedpush":{"gateway":"matrix","application_server_key":"UP"}`
		noKey = `404 {"errcode":"M_NOT_FOUND","error":"no app of this site has an application server key for this app_id"}`
	)
	all := map[string]providers.Provider{
		"org.example.web*": browsers("WEB"), "org.example.web.beta": browsers("BETA"), "org.example.ios": advertising{}, "*": phones("UP"),
		"org.silent.*": silent{},
	}
	one := map[string]providers.Provider{"org.example.web*": browsers("WEB")}
	two := map[string]providers.Provider{"a": phones("A"), "b": phones("B"), "c": phones("A")}
	for _, tt := range []struct {
		name   string
		apps   map[string]providers.Provider
		served string
		query  string
		want   string
	}{
		{"no app_id: all, by their patterns", all, "", "", `200 {` + up + `,"webpush":{"org.example.web*":{"application_server_key":"WEB"},"org.example.web.beta":{"application_server_key":"BETA"}}}`},
		{"another parameter is ignored", one, "", "_=1", `200 {"webpush":{"org.example.web*":{"application_server_key":"WEB"}}}`},
		{"an app_id of a pattern", all, "", "app_id=org.example.web1", `200 {"webpush":{"org.example.web1":{"application_server_key":"WEB"}}}`},
		{"the most specific app's, as a push has it", all, "", "app_id=org.example.web.beta", `200 {"webpush":{"org.example.web.beta":{"application_server_key":"BETA"}}}`},
		{"an app_id of UnifiedPush", all, "", "app_id=im.vector.app", `200 {` + up + `}`},
		{"an app without a key", all, "", "app_id=org.example.ios", noKey},
		{"a provider that says nothing", all, "", "app_id=org.silent.x", noKey},
		{"an app that nobody serves", one, "", "app_id=im.vector.app", noKey},
		{"an app that another site serves", all, "org.example.ios org.example.web.beta", "app_id=org.example.web1", noKey},
		{"an app that this site serves", all, "org.example.ios org.example.web.beta", "app_id=org.example.web.beta", `200 {"webpush":{"org.example.web.beta":{"application_server_key":"BETA"}}}`},
		{"a more specific app of another site", all, "*", "app_id=org.example.web1", noKey},
		{"one key of several UnifiedPush apps", map[string]providers.Provider{"a": phones("A"), "b": phones("A")}, "", "", `200 {"gateway":"matrix","unifiedpush":{"gateway":"matrix","application_server_key":"A"}}`},
		{"several keys of UnifiedPush apps: none is the site's", two, "", "", `200 {"gateway":"matrix","unifiedpush":{"gateway":"matrix"}}`},
		{"several keys of UnifiedPush apps: each by its app_id", two, "", "app_id=b", `200 {"gateway":"matrix","unifiedpush":{"gateway":"matrix","application_server_key":"B"}}`},
		{"UnifiedPush without a key", map[string]providers.Provider{"*": phones("")}, "", "app_id=a", `200 {"gateway":"matrix","unifiedpush":{"gateway":"matrix"}}`},
		{"an app_id with HTML in it", all, "", "app_id=org.example.web%3Cscript%3E%26", `200 {"webpush":{"org.example.web\u003cscript\u003e\u0026":{"application_server_key":"WEB"}}}`},
		{"an app_id with a NUL", all, "", "app_id=org.example.web%00", noKey},
		{"an app_id in other letters", one, "", "app_id=ORG.example.web", noKey},
		{"an empty app_id", all, "", "app_id=", `400 {"errcode":"M_INVALID_PARAM","error":"app_id is empty"}`},
		{"two app_ids", all, "", "app_id=a&app_id=b", `400 {"errcode":"M_INVALID_PARAM","error":"app_id is given more than once"}`},
		{"an app_id that is not UTF-8", all, "", "app_id=%ff", `400 {"errcode":"M_INVALID_PARAM","error":"app_id is not UTF-8"}`},
		{"a query that is not encoded", all, "", "app_id=%zz", `400 {"errcode":"M_INVALID_PARAM","error":"the query cannot be parsed: its values must be URL-encoded"}`},
		{"an endless query", all, "", "app_id=" + strings.Repeat("a", maxQuery), `400 {"errcode":"M_INVALID_PARAM","error":"the query has more than 4096 bytes"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := describing(t, tt.apps, strings.Fields(tt.served)...)
			close(h.app.started)
			w := h.get(t, http.MethodGet, tt.query)
			status, document, _ := strings.Cut(tt.want, " ")
			if got := w.Body.String(); strconv.Itoa(w.Code) != status || got != document {
				t.Errorf("answered %d %s, want %s", w.Code, got, tt.want)
			}
			if head := h.get(t, http.MethodHead, tt.query); head.Code != w.Code || head.Header().Get("Content-Length") != w.Header().Get("Content-Length") {
				t.Errorf("HEAD is answered %d %v", head.Code, head.Header())
			}
		})
	}
}

// starting is a provider that has its key once it has started.
type starting struct {
	advertising
	started chan struct{}
}

func (s starting) Advertise() providers.Advertisement {
	select {
	case <-s.started:
		return s.ad
	default:
		return providers.Advertisement{}
	}
}

// Caddy starts its apps in any order. A page that asked too early got the answer that there is no gateway.
func TestADocumentIsNotGivenBeforeTheKeysAreThere(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "app_id=web"} {
		synctest.Test(t, func(t *testing.T) {
			p := starting{advertising: browsers("KEY").(advertising), started: make(chan struct{})}
			h := describing(t, map[string]providers.Provider{"web": p})
			if w := h.get(t, http.MethodGet, query); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
				t.Errorf("while it starts, it is answered %d %s", w.Code, w.Body)
			}
			go func() {
				time.Sleep(startPatience / 2)
				close(p.started)
				close(h.app.started)
			}()
			if w := h.get(t, http.MethodGet, query); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"web":{"application_server_key":"KEY"}`) {
				t.Errorf("once it has started, it is answered %d %s", w.Code, w.Body)
			}
		})
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "app_id=org.example.web1", "app_id=%00", "app_id=a&app_id=b", "app_id=%ff", "a;b", "app_id=%3Cscript%3E", "%61pp_id=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		appID, one, err := askedFor(query)
		if err != nil && (one || appID != "" || len(err.Message) > 100) || one != (appID != "") {
			t.Fatalf("%q, %v, %v", appID, one, err)
		}
		if !one {
			return
		}
		if again, _, err := askedFor(url.Values{"app_id": {appID}}.Encode()); err == nil && again != appID {
			t.Fatalf("%q is read as %q", appID, again)
		}
	})
}
