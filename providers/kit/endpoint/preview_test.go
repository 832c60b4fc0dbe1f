package endpoint

import (
	"net/http"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestAPreviewShowsTheServerAndTheHeadersButNoPath(t *testing.T) {
	t.Parallel()
	own := providers.Site{Host: "push.example.org", Port: "443", Client: "198.51.100.7"}
	relay := Options{Options: network.Options{Endpoint: "https://relay.example.org:8443"}}
	for name, test := range map[string]struct {
		options         Options
		endpoint, shown string
		own             bool
	}{
		"a server":     {Options{}, "https://push.example.net:8443/secret?token=secret", "https://push.example.net:8443/…", false},
		"the own site": {Options{}, "https://PUSH.example.org/secret", "https://push.example.org/…", true},
		"a relay":      {relay, "https://push.example.org/secret", "https://relay.example.org:8443/…", false},
		"an address":   {Options{}, "https://[2001:4860:4860::8888]/secret", "https://[2001:4860:4860::8888]/…", false},
	} {
		to, err := Parse(test.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		given := http.Header{"Ttl": {"60"}}
		shown, header, err := newClient(t, test.options).Preview(to, own, given)
		if err != nil || shown != test.shown || header.Get("Ttl") != "60" {
			t.Errorf("%s: shown are %q and %v, with the error %v", name, shown, header, err)
		}
		if (header.Get("X-Forwarded-For") == own.Client) != test.own || (header.Get("Caddy-Matrix-Push") != "") != test.own || len(given) != 1 {
			t.Errorf("%s: the headers are %v", name, header)
		}
	}
}

func TestAPreviewShowsTheOutcomeThatNeedsNoLookUp(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	site := providers.Site{Host: "push.example.org", Port: "443"}
	c := newClient(t, Options{OwnPaths: []string{"/up*"}})
	for _, endpoint := range []string{
		server.URL + "/up", "https://127.0.0.1/up", "https://10.0.0.1/up", "https://[::1]/up", "https://169.254.169.254/up", "https://localhost/up",
		"https://up.localhost/up", "https://push.example.net:22/up", "https://push.example.net:2019/up", "https://x.onion/up", "https://push.example.org/admin",
	} {
		to, err := Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		shown, _, err := c.Preview(to, site, nil)
		if err == nil {
			t.Errorf("%s: shown is %s", endpoint, shown)
			continue
		}
		o := Failed(err)
		want(t, post(t.Context(), t, c, endpoint, site), o.Kind, o.Reason)
	}
	if _, _, err := c.Preview(nil, site, nil); Failed(err).Reason != "bad_endpoint" {
		t.Errorf("without an endpoint, the error is %v", err)
	}
	if n := server.Connections(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}
