package endpoint

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// A URL that does not come from Parse gets an outcome. If it is not https, no request is made.
func TestAURLThatIsNoEndpointIsNotSentTo(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	t.Cleanup(plain.Close)
	c := newClient(t, Options{AllowPrivate: []string{"127.0.0.1"}})
	for _, raw := range []string{plain.URL + "/secret", "/secret", "https:///secret", "https://user:secret@" + plain.Listener.Addr().String(), ""} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Post(t.Context(), u, providers.Site{}, nil, nil)
		if err == nil {
			t.Errorf("%q: no error", raw)
			continue
		}
		if o := Failed(err); o.Kind != providers.KindDropped || o.Reason != "bad_endpoint" || strings.Contains(o.Err.Error(), "secret") {
			t.Errorf("%q: the outcome is %+v", raw, o)
		}
	}
	if _, err := c.Post(t.Context(), nil, providers.Site{}, nil, nil); err == nil || Failed(err).Kind != providers.KindDropped {
		t.Errorf("without a URL: got %v", err)
	}
	if asked.Load() {
		t.Error("the server got a request")
	}
}

// No text is such a URL, and net/http may write its members into the request as they are.
func TestAURLThatWasPutTogetherIsNotSentTo(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	for _, change := range []func(*url.URL){
		func(u *url.URL) { u.RawQuery = "a HTTP/1.1\r\nHost: other" },
		func(u *url.URL) { u.RawQuery = "a b" },
		func(u *url.URL) { u.RawQuery = "\x7f" },
		func(u *url.URL) { u.Opaque = "//other.example.org/secret" },
	} {
		u, err := Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		if _, err := c.Post(t.Context(), u, providers.Site{}, nil, nil); err == nil || Failed(err).Reason != "bad_endpoint" {
			t.Errorf("%+v: got %v", u, err)
		}
	}
	if asked.Load() {
		t.Error("the server got a request")
	}
}

func TestAClientWithoutOptionsIsAnError(t *testing.T) {
	t.Parallel()
	if c, err := NewClient(caddy.Context{}, nil); err == nil || c != nil {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestAPushWithoutHeadersOrABodyIsSent(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	u, err := Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range []providers.Site{{}, {Host: "127.0.0.1", Port: portOfServer(t, server)}} {
		if r, err := c.Post(t.Context(), u, site, nil, nil); err != nil || r.Status != http.StatusCreated {
			t.Errorf("for the site %q: got %d, %v", site.Host, r.Status, err)
		}
	}
}

func TestAnErrorThatIsNoneIsNoReasonToPanic(t *testing.T) {
	t.Parallel()
	if o := Failed(nil); o.Kind != providers.KindRetry {
		t.Errorf("the outcome is %+v", o)
	}
	if o := Outcome(Response{}, noon); o.Kind != providers.KindRetry {
		t.Errorf("of no answer, the outcome is %+v", o)
	}
}
