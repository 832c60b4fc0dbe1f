package ui

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
)

// today is the current time in these tests.
var today = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// canary is a pushkey that no page, no URL and no log may contain.
const canary = "CANARY-f00d"

// gatewayAPI is an admin API. It answers each route with the text for it.
type gatewayAPI struct {
	*httptest.Server

	mu      sync.Mutex
	answers map[string]string
	// requests are the requests it got: method, path and body.
	requests []string
}

// failing is an answer with a status other than 200.
func failing(status int, body string) string { return http.StatusText(status) + "\n" + body }

func newAPI(t *testing.T, answers map[string]string) *gatewayAPI {
	t.Helper()
	a := &gatewayAPI{answers: answers}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *gatewayAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	request := strings.TrimPrefix(r.URL.RequestURI(), "/matrix_push/")
	a.requests = append(a.requests, strings.TrimSpace(r.Method+" "+request+" "+string(body)))
	path, _, _ := strings.Cut(request, "?")
	answer, ok := a.answers[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	for status := http.StatusBadRequest; status <= http.StatusServiceUnavailable; status++ {
		if text, failed := strings.CutPrefix(answer, http.StatusText(status)+"\n"); failed {
			w.WriteHeader(status)
			answer = text
		}
	}
	_, _ = io.WriteString(w, answer)
}

// answer changes the answer of a route.
func (a *gatewayAPI) answer(route, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[route] = text
}

// posts returns the requests that could have changed something.
func (a *gatewayAPI) posts() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.requests), func(r string) bool { return strings.HasPrefix(r, "GET ") })
}

// client returns a client of the API, as the command has one.
func (a *gatewayAPI) client(t *testing.T) *adminclient.Client {
	t.Helper()
	address, err := caddy.ParseNetworkAddress(strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return adminclient.New(address)
}

// served is a page that is being served.
type served struct {
	*Page
	end  context.CancelFunc
	done chan error
}

// at returns the address of a page of the session.
func (s *served) at(path string) string { return s.origin() + s.inside(path) }

// start serves the page of an API.
func start(t *testing.T, api API, change ...func(*Page)) *served {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{New(api, l.Addr().String(), func() time.Time { return today }), cancel, make(chan error, 1)}
	for _, c := range change {
		c(s.Page)
	}
	go func() { s.done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-s.done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// browser is a browser that has a session or not.
type browser struct {
	t *testing.T
	*http.Client
	page *served
}

func newBrowser(t *testing.T, s *served) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport}, s}
}

// open serves the page of an API to a browser that has opened the printed URL.
func open(t *testing.T, api API, change ...func(*Page)) *browser {
	t.Helper()
	b := newBrowser(t, start(t, api, change...))
	if a := b.get(b.page.URL()); a.address != b.page.at("/") {
		t.Fatalf("the URL leads to %s", a.address)
	}
	return b
}

// shown is an answer, after redirections.
type shown struct {
	status        int
	header        http.Header
	text, address string
}

// change changes a request before it is sent.
type change func(*http.Request)

func header(name, value string) change { return func(r *http.Request) { r.Header.Set(name, value) } }

func without(name string) change { return func(r *http.Request) { r.Header.Del(name) } }

func host(name string) change { return func(r *http.Request) { r.Host = name } }

// do sends a request.
func (b *browser) do(r *http.Request, changes ...change) shown {
	b.t.Helper()
	for _, c := range changes {
		c(r)
	}
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if strings.Contains(string(text)+resp.Request.URL.String(), canary) {
		b.t.Errorf("%s shows the pushkey: %s", resp.Request.URL, text)
	}
	return shown{resp.StatusCode, resp.Header, string(text), resp.Request.URL.String()}
}

// get loads a path, or a URL.
func (b *browser) get(path string, changes ...change) shown {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.page.at(path)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r, changes...)
}

// submit sends a form of the page.
func (b *browser) submit(path string, fields url.Values, changes ...change) shown {
	b.t.Helper()
	if fields == nil {
		fields = make(url.Values)
	}
	if !fields.Has("token") {
		fields.Set("token", b.page.token)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.page.at(path), strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.page.origin())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r, changes...)
}

// want wants a status and these texts in the page.
func (s shown) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if s.status != status {
		t.Errorf("%s is answered with %d, want %d:\n%s", s.address, s.status, status, s.text)
	}
	words := strings.Join(strings.Fields(tag.ReplaceAllString(s.text, " ")), " ")
	for _, text := range texts {
		if !strings.Contains(s.text, text) && !strings.Contains(words, text) {
			t.Errorf("%s does not show %q:\n%s", s.address, text, words)
		}
	}
}

// lacks wants that the page doesn't have these texts.
func (s shown) lacks(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(s.text, text) {
			t.Errorf("%s shows %q:\n%s", s.address, text, s.text)
		}
	}
}

// tag matches a tag of HTML.
var tag = regexp.MustCompile(`<[^>]*>`)
