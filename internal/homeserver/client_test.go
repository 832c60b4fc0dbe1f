package homeserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const token = "syt_the_secret_token"

// versions is how Synapse 1.163.2 answers, shortened.
const versions = `{"versions":["r0.6.1","v1.1","v1.15"],"unstable_features":{"org.matrix.msc4028":false,"org.matrix.msc3881":false}}`

// fake is a homeserver with fixed answers by path. It records the requests.
type fake struct {
	*httptest.Server
	t       *testing.T
	answers map[string]string
	asked   []*http.Request
	bodies  []string
}

func newFake(t *testing.T, answers map[string]string) *fake {
	t.Helper()
	f := &fake{t: t, answers: answers}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked = append(f.asked, r)
	body, _ := io.ReadAll(r.Body)
	f.bodies = append(f.bodies, string(body))
	w.Header().Set("Server", "Synapse/1.163.2")
	answer, known := f.answers[r.Method+" "+r.RequestURI]
	switch {
	case known:
		_, _ = io.WriteString(w, answer)
	case r.RequestURI == "/_matrix/client/versions":
		_, _ = io.WriteString(w, versions)
	default:
		http.Error(w, `{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}`, http.StatusNotFound)
	}
}

func newClient(t *testing.T, address string) *Client {
	t.Helper()
	c, err := New(address, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// wantError wants one sentence with a text and without the token.
func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", text)
	}
	if got := err.Error(); !strings.Contains(got, text) || strings.Contains(got, token) || strings.ContainsAny(got, "\n\r\x1b") {
		t.Errorf("the error is %q, want one with %q, and without token", got, text)
	}
}

func TestAServerThatIsNoHomeserverIsOneSentence(t *testing.T) {
	t.Parallel()
	elsewhere := newFake(t, nil)
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"it redirects elsewhere": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusMovedPermanently)
			}, "write the homeserver's own address",
		},
		"it redirects to itself for ever": {
			func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirects GET",
		},
		"its answer has 10 MB": {
			func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"versions":["`+strings.Repeat("v", 10_000_000)+`"]}`)
			}, "is larger than 8 MiB",
		},
		"HTML": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "\n<!doctype html><p>Hello") },
			"is not a homeserver: it answers GET /_matrix/client/versions with status 200 and HTML",
		},
		"an empty answer, such as Caddy's": {
			func(http.ResponseWriter, *http.Request) {}, "with status 200 and an empty body",
		},
		"a 404 of another server": {
			http.NotFound, "is not a homeserver: it answers GET /_matrix/client/versions with status 404 and a body that is not JSON",
		},
		"JSON of another API": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) },
			"is not a homeserver: its answer to GET /_matrix/client/versions has no list of versions",
		},
		"JSON of another form": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `["v1.1"]`) }, "has no list of versions",
		},
		"a failing proxy": {
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<h1>Bad gateway", http.StatusBadGateway) }, "with status 502 and HTML",
		},
		"it closes the connection": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "cannot be reached: EOF",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.handler)
			t.Cleanup(server.Close)
			_, err := newClient(t, server.URL).WhoAmI(t.Context())
			wantError(t, err, c.want)
		})
	}
}

func TestAHomeserverThatHangsIsOneSentence(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{"before its answer": "", "within its answer": `{"versions":[`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if begin != "" {
					_, _ = io.WriteString(w, begin)
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}))
			t.Cleanup(server.Close)
			c := newClient(t, server.URL)
			c.timeout = 50 * time.Millisecond
			_, err := c.WhoAmI(t.Context())
			wantError(t, err, "did not answer GET /_matrix/client/versions within 50ms")
			if c.Requests() != 1 {
				t.Errorf("%d requests", c.Requests())
			}
		})
	}
}

func TestNobodyAtTheAddressIsOneSentence(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	_, err := newClient(t, server.URL).WhoAmI(t.Context())
	wantError(t, err, "the homeserver at "+server.URL+" cannot be reached: dial tcp")
}

func TestACancelledRequestIsNoFaultOfTheHomeserver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(t, newFake(t, nil).URL).WhoAmI(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestARefusedTokenIsOneSentence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"wrong": {
			http.StatusUnauthorized, `{"errcode":"M_UNKNOWN_TOKEN","error":"Invalid access token passed.","soft_logout":false}`,
			"the access token is not valid at http://127.0.0.1:",
		},
		"expired": {
			http.StatusUnauthorized, `{"errcode":"M_UNKNOWN_TOKEN","error":"Access token has expired","soft_logout":true}`, "the access token has expired",
		},
		"rate-limited": {
			http.StatusTooManyRequests, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests","retry_after_ms":3000}`, "try again in 3 s",
		},
		"an error that repeats the token, and has control characters": {
			http.StatusForbidden, `{"errcode":"M_FORBIDDEN","error":"no \u001b[31m\n` + token + `"}`, "[token] (M_FORBIDDEN)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/_matrix/client/versions" {
					_, _ = io.WriteString(w, versions)
					return
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(server.Close)
			_, err := newClient(t, server.URL).WhoAmI(t.Context())
			wantError(t, err, c.want)
		})
	}
}

func TestAnAddressOrATokenThatCannotBeUsedIsRefused(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://matrix.example.org":              "uses http, so others on the network could read the access token",
		"http://10.0.0.1:8008":                   "uses http",
		"ftp://matrix.example.org":               "is not an https URL",
		"https://":                               "is not a URL with only a scheme",
		"":                                       "is not a URL with only a scheme",
		"https://user:" + token + "@example.org": "is not a URL with only a scheme",
		"https://example.org/?access_token=secret": "is not a URL with only a scheme",
		"https://exa mple.org":                     "is not a URL with only a scheme",
	} {
		_, err := New(address, token)
		wantError(t, err, want)
	}
	for _, address := range []string{
		"https://matrix.example.org", "matrix.example.org", "http://127.0.0.1:8008", "http://[::1]:8008/", "http://localhost",
	} {
		if _, err := New(address, token+"\n"); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for given, want := range map[string]string{"": "is empty", " \n": "is empty", "a\nb": "contains a space", "ä": "contains a space"} {
		_, err := New("https://example.org", given)
		wantError(t, err, want)
	}
}

func TestD04_TheWellKnownIsFollowedOnce(t *testing.T) {
	t.Parallel()
	target := newFake(t, map[string]string{"GET /_matrix/client/v3/account/whoami": `{"user_id":"@alice:hs.test","device_id":"DEVICE"}`})
	serve := func(base string) *fake {
		return newFake(t, map[string]string{
			"GET /_matrix/client/versions":   "<html>",
			"GET /.well-known/matrix/client": `{"m.homeserver":{"base_url":"` + base + `"}}`,
		})
	}
	first := serve(target.URL + "/")
	c := newClient(t, first.URL)
	a, err := c.WhoAmI(t.Context())
	if err != nil || a.UserID != "@alice:hs.test" || a.DeviceID != "DEVICE" || c.Address() != target.URL {
		t.Fatalf("got %+v at %s: %v", a, c.Address(), err)
	}
	if _, err := c.WhoAmI(t.Context()); err != nil || len(first.asked) != 2 || c.Requests() != 5 {
		t.Errorf("%d requests, %d of them to the first address: %v", c.Requests(), len(first.asked), err)
	}
	for _, r := range first.asked {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s has the token", r.URL)
		}
	}

	second := serve(first.URL)
	_, err = newClient(t, second.URL).WhoAmI(t.Context())
	wantError(t, err, first.URL+" is not a homeserver")
	for _, base := range []string{"http://10.0.0.1", "ftp://example.org", "10.0.0.1", ""} {
		f := serve(base)
		_, err = newClient(t, f.URL).WhoAmI(t.Context())
		wantError(t, err, f.URL+" is not a homeserver")
	}
}

func TestTheTokenIsSentOnlyInAHeaderToTheHomeserver(t *testing.T) {
	t.Parallel()
	f := newFake(t, map[string]string{"GET /_matrix/client/v3/pushrules/": `{"global":{}}`})
	c := newClient(t, f.URL)
	if _, err := c.PushRules(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.asked[0].Header.Get("Authorization") != "" || f.asked[1].Header.Get("Authorization") != "Bearer "+token {
		t.Error("the token must be in the second request only")
	}
	elsewhere := newFake(t, nil)
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/_matrix/client/versions" {
			_, _ = io.WriteString(w, versions)
			return
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(moved.Close)
	_, err := newClient(t, moved.URL).PushRules(t.Context())
	wantError(t, err, "redirects GET /_matrix/client/v3/pushrules/ to "+elsewhere.URL)
	if len(elsewhere.asked) > 0 {
		t.Error("the other host was asked")
	}
}
