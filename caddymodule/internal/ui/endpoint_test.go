package ui

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
)

// at returns a client of an address.
func at(t *testing.T, address string) *adminclient.Client {
	t.Helper()
	to, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	return adminclient.New(to)
}

// pages are the pages that ask the admin API.
var pages = []string{"/", "/app?app=org.example.up", "/outbox"}

func TestV36_AnAdminEndpointThatIsNotThereIsExplained(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	for name, address := range map[string]string{"TCP": l.Addr().String(), "a Unix socket": "unix/" + t.TempDir() + "/none.sock"} {
		b := open(t, at(t, address))
		for _, path := range pages {
			a := b.get(path)
			a.want(t, http.StatusBadGateway, "The gateway cannot be asked", "cannot be reached", "--address", "Check that Caddy is running", `id="problem"`, "data-refresh")
			if t.Failed() {
				t.Fatal(name)
			}
		}
		b.get("/pushkeys").want(t, http.StatusOK) // pages that ask nothing work
		b.submit("/pushkeys/explain", url.Values{"app_id": {"a"}, "pushkey": {canary}}).want(t, http.StatusBadGateway, "cannot be reached")
	}
}

func TestV36_AnotherProgramOrVersionIsExplained(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers map[string]string
		status  int
		text    string
	}{
		"Caddy without the gateway":     {map[string]string{}, http.StatusBadGateway, "does this Caddy include the gateway?"},
		"a configuration without it":    {map[string]string{"apps": failing(http.StatusServiceUnavailable, `{"error":"no gateway is configured"}`)}, http.StatusServiceUnavailable, "No gateway is configured."},
		"Caddy that refuses the host":   {map[string]string{"apps": failing(http.StatusForbidden, `{"error":"host not allowed: 192.0.2.1:2019"}`)}, http.StatusForbidden, "If Caddy refuses the host or the origin"},
		"Caddy that wants a client key": {map[string]string{"apps": failing(http.StatusUnauthorized, `{"error":"client is not authorized"}`)}, http.StatusUnauthorized, "Check that Caddy is running"},
		"an API with its own errors":    {map[string]string{"apps": failing(http.StatusNotFound, `{"error":"no such thing"}`)}, http.StatusNotFound, "Check that Caddy is running"},
		"a web site":                    {map[string]string{"apps": "<html>hello</html>"}, http.StatusBadGateway, "sent an unexpected answer"},
		"another JSON API":              {map[string]string{"apps": `{"apps":[],"hello":true}`}, http.StatusBadGateway, "check the address"},
		"members with other types":      {map[string]string{"apps": `{"status":"ready","apps":"none"}`}, http.StatusBadGateway, "sent an unexpected answer"},
		"a state that we do not know":   {map[string]string{"apps": `{"status":"sleeping","apps":[]}`}, http.StatusBadGateway, "use the command of the same version"},
		"an empty answer":               {map[string]string{"apps": ""}, http.StatusBadGateway, "sent an unexpected answer"},
		"a gateway without a history":   {map[string]string{"apps": apps}, http.StatusOK, "it is older than this command"},
		"a history of another kind":     {map[string]string{"apps": apps, "history": `{"minutes":0}`}, http.StatusOK, "The lines of the last hour are missing"},
		"a history that is not one":     {map[string]string{"apps": apps, "history": `[]`}, http.StatusOK, "The lines of the last hour are missing"},
		"a history that is too long":    {map[string]string{"apps": apps, "history": `{"minutes":100000000}`}, http.StatusOK, "The lines of the last hour are missing"},
		"a history with other lengths":  {map[string]string{"apps": apps, "history": `{"minutes":3,"apps":[{"app":"org.example.up","outcomes":{"delivered":[9,9,9,9,1,2],"retry":[],"rejected":null}}]}`}, http.StatusOK, "12 delivered"},
		"members that are missing":      {map[string]string{"apps": `{"status":"degraded","degraded":[{}],"apps":[{"app":"x"},{}],"refused":[{}],"xmpp_components":[{"alarms":[{}]}]}`}, http.StatusOK, "something needs attention"},
		"a problem that we do not know": {map[string]string{"apps": `{"status":"degraded","degraded":[{"app":"x","reason":"something_new"}],"apps":[{"app":"x"}]}`}, http.StatusOK, "App x: something_new."},
		"a state without a problem":     {map[string]string{"apps": `{"status":"degraded"}`}, http.StatusOK, "it may be newer than this command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, newAPI(t, tt.answers).client(t))
			a := b.get("/")
			a.want(t, tt.status, tt.text)
			a.lacks(t, "Nothing was changed", "what you entered")
		})
	}
}

func TestV36_AListIsEmptyOnlyIfTheGatewaySaysSo(t *testing.T) {
	t.Parallel()
	answers := usual()
	answers["outbox"], answers["rejected"] = `{"hello":true}`, `{}`
	b := open(t, newAPI(t, answers).client(t))
	for _, a := range []shown{
		b.get("/outbox"), b.submit("/outbox/list", url.Values{"app": {"org.example.up"}}), b.submit("/pushkeys/list", nil),
	} {
		a.want(t, http.StatusBadGateway, "check the address")
		a.lacks(t, "There are no pending pushes", "No such pushkey")
	}
}

func TestV36_AFailedRequestSaysWhatItMayHaveChanged(t *testing.T) {
	t.Parallel()
	const promise = "This page shows the gateway again"
	answers := usual()
	answers["outbox/drop"] = failing(http.StatusInternalServerError, `{"error":"outbox: the disk is full"}`)
	answers["outbox/retry"] = failing(http.StatusNotFound, `{"error":"no pushes are pending for ab12"}`)
	answers["fuses/reset"] = failing(http.StatusServiceUnavailable, `{"error":"no gateway is configured"}`)
	answers["outbox"] = failing(http.StatusNotImplemented, `{"error":"the outbox off cannot list its entries"}`)
	answers["apps"] = failing(http.StatusNotFound, `{"error":"no app has this pattern"}`)
	b := open(t, newAPI(t, answers).client(t))
	confirmed := url.Values{"app": {"org.example.up"}, "confirmed": {"yes"}}
	for _, path := range []string{"/outbox/drop", "/fuse/reset"} {
		a := b.submit(path, confirmed)
		a.want(t, a.status, "it may have been done in part")
		a.lacks(t, "Nothing was changed", promise)
	}
	a := b.submit("/outbox/retry", confirmed)
	a.want(t, http.StatusNotFound, "Nothing was changed.", "No pushes are pending for ab12.")
	a.lacks(t, "in part", promise)
	for _, path := range []string{"/outbox", "/app?app=org.example.typo"} {
		a := b.get(path)
		a.want(t, a.status, "Begin at the overview")
		a.lacks(t, "Nothing was changed", "in part", "Check that Caddy is running")
	}
}

func TestV36_AKeyThatIsNotThereDoesNotHideTheRest(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"<html>", failing(http.StatusNotFound, "{}"), failing(http.StatusInternalServerError, `{"error":"x"}`)} {
		answers := usual()
		answers["keys"] = answer
		a := open(t, newAPI(t, answers).client(t)).get("/app?app=org.example.up")
		a.want(t, http.StatusOK, "State: needs attention")
		a.lacks(t, "Application server key")
	}
}

func TestV36_AnEndpointThatDiesIsShownAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	api := newAPI(t, usual())
	b := open(t, api.client(t))
	b.get("/").want(t, http.StatusOK, "something needs attention")
	address := strings.TrimPrefix(api.URL, "http://")
	api.Close()
	b.get("/").want(t, http.StatusBadGateway, "cannot be reached")
	b.submit("/fuse/reset", url.Values{"app": {"org.example.up"}, "confirmed": {"yes"}}).want(t, http.StatusBadGateway, "cannot be reached")
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("another program has the port by now: %v", err)
	}
	again := &httptest.Server{Listener: l, Config: &http.Server{Handler: api, ReadHeaderTimeout: time.Minute}}
	again.Start()
	t.Cleanup(again.Close)
	b.get("/").want(t, http.StatusOK, "something needs attention")
}

func TestV36_AnEndpointThatDiesWithinAnAnswerIsExplained(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, apps[:100])
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	b := open(t, at(t, strings.TrimPrefix(server.URL, "http://")))
	b.get("/").want(t, http.StatusBadGateway, "cannot be reached")
}

func TestV36_AnEndpointThatHangsIsExplained(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // nobody accepts the connections, which the system holds
	impatient := func(p *Page) { p.patience = 50 * time.Millisecond }
	b := open(t, at(t, l.Addr().String()), impatient)
	b.get("/").want(t, http.StatusBadGateway, "did not answer in time")
	b.submit("/pushkeys/explain", url.Values{"hash": {hashA}}).want(t, http.StatusBadGateway, "did not answer in time")
}

func TestV36_AHistoryThatHangsDoesNotHideTheRest(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	api := newAPI(t, usual())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/matrix_push/history" {
			select {
			case <-released:
			case <-r.Context().Done():
			}
			return
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(released) })
	impatient := func(p *Page) { p.historyPatience = 50 * time.Millisecond }
	open(t, at(t, strings.TrimPrefix(server.URL, "http://")), impatient).get("/").want(t, http.StatusOK, "something needs attention", "The lines of the last hour are missing", "unknown")
}

func TestV37_ThePageEndsAndClosesItsPort(t *testing.T) {
	t.Parallel()
	b := open(t, newAPI(t, usual()).client(t))
	b.page.end()
	if err := <-b.page.done; err != nil {
		t.Error(err)
	}
	b.page.done <- nil // for the clean-up
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.page.host); err == nil {
		t.Error("the port is still open")
	}
}

// stuck is an API that does not answer about the outbox before it is released, even if the request's context ends.
type stuck struct {
	API
	asked, released chan struct{}
}

func (s stuck) Get(ctx context.Context, path string, query url.Values, into any) ([]byte, error) {
	if path != "outbox" {
		return s.API.Get(ctx, path, query, into)
	}
	close(s.asked)
	<-s.released
	return nil, errors.New("released")
}

func TestV37_ARequestThatHangsDoesNotKeepThePage(t *testing.T) {
	t.Parallel()
	api := stuck{newAPI(t, usual()).client(t), make(chan struct{}), make(chan struct{})}
	t.Cleanup(func() { close(api.released) })
	b := open(t, api)
	cut := make(chan error)
	go func() {
		r, err := http.NewRequest(http.MethodGet, b.page.at("/outbox"), nil)
		if err == nil {
			_, err = b.Do(r)
		}
		cut <- err
	}()
	<-api.asked
	b.page.end()
	if err := <-cut; err == nil {
		t.Error("the request is answered")
	}
	if err := <-b.page.done; err != nil {
		t.Error(err)
	}
	b.page.done <- nil // for the clean-up
}
