package endpoint

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// Guards against a pusher that stays forever and never gets a push because of one wrong digit. ntfy's own gateway rejects it.
func TestAnEndpointAtAnotherPortOfTheOwnSiteIsKnown(t *testing.T) {
	t.Parallel()
	direct := func(*url.URL) (*url.URL, error) { return nil, nil }
	proxied := func(*url.URL) (*url.URL, error) { return &url.URL{Scheme: "http", Host: "proxy.example:3128"}, nil }
	settingsWith := func(change func(*settings)) *settings {
		s := &settings{Settings: &network.Settings{Proxy: direct}}
		change(s)
		return s
	}
	plain := settingsWith(func(*settings) {})
	site := providers.Site{Host: "push.example.org", Port: "443"}
	mapped := providers.Site{Host: "push.example.org", Port: "8443"}                    // the host's 443 is the container's 8443
	other := providers.Site{Host: "push.example.org", Port: "8443", PublicPort: "9443"} // https://push.example.org:9443
	unproved := providers.Site{Port: "443"}                                             // a wildcard
	tests := []struct {
		name, endpoint string
		site           providers.Site
		settings       *settings
		want           string
	}{
		{
			"another port", "https://push.example.org:8080/up/secret", site, plain,
			"no push server can be reached at port 8080 of this site's own host: use port 443, where the site is",
		},
		{"in other letters", "https://PUSH.example.org.:8080/up/secret", site, plain, "at port 8080"},
		{"a port below 1024", "https://push.example.org:80/up/secret", site, plain, "at port 80 "},
		{"another one beside a mapped one", "https://push.example.org:2586/up/secret", mapped, plain, "at port 2586 "},
		{"another one beside that of the URL", "https://push.example.org:2586/up/secret", other, plain, "use port 9443, where the site is"},
		{"the site's", "https://push.example.org/up/secret", site, plain, ""},
		{"443 where a proxy or a container maps it", "https://push.example.org/up/secret", mapped, plain, ""},
		{"the mapped one itself", "https://push.example.org:8443/up/secret", mapped, plain, ""},
		{"the one of the URL", "https://push.example.org:9443/up/secret", other, plain, ""},
		{"443 beside another site", "https://push.example.org/up/secret", other, plain, ""},
		{"another host", "https://ntfy.example.org:8080/up/secret", site, plain, ""},
		{"one below the site's", "https://a.push.example.org:8080/up/secret", site, plain, ""},
		{"a site that is not proved", "https://push.example.org:8080/up/secret", unproved, plain, ""},
		{"with allow_private", "https://push.example.org:8080/up/secret", site, settingsWith(func(s *settings) {
			s.allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}), ""},
		{"with endpoint", "https://push.example.org:8080/up/secret", site, settingsWith(func(s *settings) {
			s.Endpoint = &url.URL{Scheme: "https", Host: "relay.example"}
		}), ""},
		{"through a proxy", "https://push.example.org:8080/up/secret", site, settingsWith(func(s *settings) { s.Proxy = proxied }), ""},
		{"without settings", "https://push.example.org:8080/up/secret", site, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			endpoint, err := Parse(test.endpoint)
			if err != nil {
				t.Fatal(err)
			}
			err = (&Client{settings: test.settings}).Astray(endpoint, test.site)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret")):
				t.Errorf("the error is %v", err)
			}
		})
	}
	if err := (*Client)(nil).Astray(&url.URL{Host: "push.example.org:8080"}, site); err != nil {
		t.Error(err)
	}
}
