package service

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// URLs that users choose must go through kit/endpoint. Here, such a push would reach the push service under a wrong host name, with the
// operator's credential. Counted as outages, many such pushes would open the breaker for everybody.
func TestARequestToAnotherServerIsNotSentAndIsNoOutage(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	s := newServer(t, 100, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	c := newClient(t, s.URL, s.ca.File)
	for _, raw := range []string{
		"https://user.example/push", "https://127.0.0.1/", "http://" + c.host + "/", "https://" + c.host + "0/", "//" + c.host, "/path", "",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.RoundTrip((&http.Request{Method: http.MethodPost, URL: u, Header: http.Header{}}).WithContext(t.Context()))
		if !errors.Is(err, network.ErrOtherServer) {
			t.Errorf("%q: got %v, %v", raw, resp, err)
			continue
		}
		if o := network.Failed(err); o.Kind != providers.KindDropped || o.Reason != "other_server" || strings.Contains(o.Err.Error(), "example") {
			t.Errorf("%q: the outcome is %+v", raw, o)
		}
	}
	if _, err := c.RoundTrip(&http.Request{}); !errors.Is(err, network.ErrOtherServer) {
		t.Errorf("without a URL: got %v", err)
	}
	if _, err := c.RoundTrip(nil); !errors.Is(err, network.ErrOtherServer) {
		t.Errorf("without a request: got %v", err)
	}
	if !strings.Contains(network.ErrOtherServer.Error(), "kit/endpoint") {
		t.Errorf("it does not say what is for such a request: %v", network.ErrOtherServer)
	}
	s.want(t, 0) // there is not even a connection
	if asked.Load() {
		t.Error("the server got a request")
	}
	if named := c.URL("/a?b/c d").String(); named != s.URL+"/a%3Fb/c%20d" {
		t.Errorf("the server's URL is %s", named)
	}
}

func TestOptionsThatCouldNeverWorkAreAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	settings, err := (&network.Options{Proxy: "none"}).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	server := &url.URL{Scheme: "https", Host: "push.example"}
	certificate := func() *tls.Certificate { return new(tls.Certificate) }
	for name, o := range map[string]Options{
		"nothing":                           {},
		"no settings":                       {Server: server},
		"settings that nothing resolved":    {Settings: new(network.Settings), Server: server},
		"no server":                         {Settings: settings},
		"a server without TLS":              {Settings: settings, Server: &url.URL{Scheme: "http", Host: "push.example"}},
		"a server without a host":           {Settings: settings, Server: &url.URL{Scheme: "https", Host: ":443"}},
		"a server with user information":    {Settings: settings, Server: &url.URL{Scheme: "https", Host: "push.example", User: url.User("secret")}},
		"a certificate without an identity": {Settings: settings, Server: server, Certificate: certificate},
	} {
		c, err := NewClient(o)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", name, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: Close after that: %v", name, err)
		}
	}
}

func TestAClientForAHostNeedsOneAndNamesTheOptionThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host    string
		options network.Options
		want    string
	}{
		{"", network.Options{Proxy: "none"}, "the server must be"},
		{"push.example", network.Options{Endpoint: "http://push.example"}, "endpoint: "},
		{"push.example", network.Options{Proxy: "nonsense"}, "proxy: "},
		{"push.example", network.Options{TrustedCA: "/not-there"}, "trusted_ca: "},
	} {
		if c, err := ForHost(test.host, &test.options); c != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v", test.want, err)
		}
	}
	c, err := ForHost("push.example:8443", nil)
	if err != nil || c.URL("/a").String() != "https://push.example:8443/a" {
		t.Fatalf("without options: got %+v, %v", c, err)
	}
	closeClient(t, c)
}

// net/http asks for it in a separate goroutine, where nothing else recovers a panic.
func TestACertificateThatCannotBeHadIsAnErrorAndNotTheEndOfTheProcess(t *testing.T) {
	t.Parallel()
	for name, certificate := range map[string]func() *tls.Certificate{
		"none":    func() *tls.Certificate { return nil },
		"a panic": func() *tls.Certificate { panic("secret") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newUnstartedServer(t, 100, ok)
			s.TLS.ClientAuth = tls.RequestClientCert
			s.StartTLS()
			settings, err := (&network.Options{Endpoint: s.URL, TrustedCA: s.ca.File, Proxy: "none"}).Resolve()
			if err != nil {
				t.Fatal(err)
			}
			c, err := NewClient(Options{Settings: settings, Identity: t.Name(), Certificate: certificate})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeClient(t, c) })
			if _, err := post(t.Context(), c); err == nil || strings.Contains(err.Error(), "secret") || network.Failed(err).Kind != providers.KindRetry {
				t.Errorf("got %v", err)
			}
		})
	}
}
