package gateway

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// ownServer is a provider whose devices choose the push server by an address. It delivers to an address that the site proves to be its
// own, and to public ones.
type ownServer struct{ *scripted }

func (ownServer) Host(d *providers.Device) string { return d.Pushkey }

func (ownServer) Usable(d *providers.Device, site providers.Site) error {
	host, port, _ := net.SplitHostPort(strings.ToLower(d.Pushkey))
	if host == site.Host && port != site.Port && port != site.PublicPort {
		return &providers.UnusableError{Reason: "bad_endpoint", Doubtful: true}
	}
	return nil
}

// siteFor returns a site with a name that proves itself.
func siteFor(host, port string, apps ...string) Site {
	return Site{
		Hosts: []string{host}, Ports: []string{port}, Accepts: func(h string) bool { return h == host },
		Proves: func(to Address, local string) providers.Site {
			return providers.Site{Host: to.Host, Port: local, PublicPort: to.Port}
		},
		Serves: func(a *App) bool { return len(apps) == 0 || a.Pattern == apps[0] },
	}
}

// P2: a test notification to the push server on the gateway's own site was blocked, although a homeserver's is delivered.
func TestATestNotificationArrivesWhereAHomeserversWould(t *testing.T) {
	t.Parallel()
	plain := siteFor("plain.example", "8080")
	plain.Proves = func(_ Address, local string) providers.Site { return providers.Site{Port: local} }
	wildcard := Site{
		Ports: []string{"443"}, Accepts: func(h string) bool { return strings.HasSuffix(h, ".wild.example") }, Proves: plain.Proves,
		Serves: func(*App) bool { return true },
	}
	sites := []Site{
		siteFor("gw.example", "443"), siteFor("ntfy.example", "8443"), siteFor("other.example", "443", "none"), plain, wildcard,
	}
	for _, tt := range []struct {
		name, pushkey string
		to            Address
		want          providers.Site
		outcome, note string
	}{
		{"a push server on a site", "ntfy.example:8443", Address{}, providers.Site{Host: "ntfy.example", Port: "8443", PublicPort: "8443"}, "delivered", ""},
		{"a push server on a site at 443", "gw.example:443", Address{}, providers.Site{Host: "gw.example", Port: "443"}, "delivered", ""},
		{"capitals", "GW.example:443", Address{}, providers.Site{Host: "gw.example", Port: "443"}, "delivered", ""},
		{"a push server elsewhere", "ntfy.sh:443", Address{}, providers.Site{}, "blocked", "ntfy.sh is not a site of this gateway (its sites: gw.example, ntfy.example, other.example, plain.example): make it one, or list"},
		{"a push server that has only an address", "192.0.2.7:443", Address{}, providers.Site{}, "blocked", "192.0.2.7 is an address, and a site needs a name"},
		{"another port of a site", "gw.example:9999", Address{}, providers.Site{}, "rejected", "if homeservers reach the gateway at port 9999, because a proxy or container maps it, set the site to gw.example:9999"},
		{"a port that a container maps", "gw.example:9999", Address{"gw.example", "9999"}, providers.Site{Host: "gw.example", Port: "443", PublicPort: "9999"}, "delivered", ""},
		{"a site that does not serve the app", "other.example:443", Address{}, providers.Site{}, "blocked", "the push server is on the site other.example"},
		{"a site without TLS", "plain.example:443", Address{}, providers.Site{Port: "8080"}, "blocked", "requests don't prove that they reach the site plain.example: it needs TLS"},
		{"a site that is given without its port", "ntfy.example:8443", Address{Host: "ntfy.example"}, providers.Site{Host: "ntfy.example", Port: "8443"}, "delivered", ""},
		{"another site that is given", "ntfy.example:8443", Address{Host: "gw.example"}, providers.Site{Host: "gw.example", Port: "443"}, "blocked", "the push server is on the site ntfy.example: only notifications that arrive there reach it"},
		{"a name that a wildcard covers", "a.wild.example:443", Address{Host: "a.wild.example"}, providers.Site{Port: "443"}, "blocked", "requests don't prove that they reach the site a.wild.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := ownServer{&scripted{script: blockedElsewhere}}
			r := newRig(t, appFor("app", p))
			r.Sites = sites
			request, _ := Decode([]byte(event("$1", deviceOf("app", tt.pushkey, 1))), 1)
			got, err := r.Try(t.Context(), request, tt.to)
			if err != nil || got.Outcome != tt.outcome && got.Reason != tt.outcome || !strings.Contains(got.Note, tt.note) || (got.Note == "") != (tt.note == "") {
				t.Errorf("got %+v: %v", got, err)
			}
			pushes := p.asked()
			if tt.outcome == "rejected" {
				if len(pushes) != 0 || got.Result != "rejected" || got.Reason != "bad_endpoint" {
					t.Errorf("got %+v, asked was %+v", got, pushes)
				}
				return
			}
			if len(pushes) != 1 || pushes[0].Site != tt.want {
				t.Errorf("asked was %+v", pushes)
			}
			if known := tt.want.Host != "" || tt.to.Host != "" || strings.HasPrefix(tt.pushkey, "plain"); (got.Site != "") != known {
				t.Errorf("the site is %q", got.Site)
			}
		})
	}
}

// blockedElsewhere delivers to a device at the site where the push arrived.
func blockedElsewhere(_ context.Context, p *providers.Push) providers.Outcome {
	host, port, _ := net.SplitHostPort(strings.ToLower(p.Device.Pushkey))
	if host == p.Site.Host && (port == p.Site.Port || port == p.Site.PublicPort) {
		return providers.Delivered()
	}
	return providers.Blocked("blocked", nil)
}

func TestASiteThatDoesNotExistIsAnErrorWithTheNearestName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		sites []Site
		to    string
		want  string
	}{
		{"a typing error", []Site{siteFor("push.example.org", "443"), siteFor("b.example", "443")}, "psuh.example.org", `no site of the gateway has the name "psuh.example.org": did you mean "push.example.org"? The sites are b.example and push.example.org`},
		{"another name", []Site{siteFor("push.example.org", "443")}, "x", `no site of the gateway has the name "x": there is only push.example.org`},
		{"no sites", []Site{}, "x", "no site mounts the gateway: add the directive matrix_push to one"},
		{"a site for other apps", []Site{siteFor("push.example.org", "443", "other")}, "push.example.org", `the site "push.example.org" does not serve the app "app", so the device would be rejected`},
	} {
		r := newRig(t, appFor("app", always(providers.Delivered())))
		r.Sites = tt.sites
		request, _ := Decode([]byte(event("$1", device("key"))), 1)
		var noSite SiteError
		if _, err := r.Try(t.Context(), request, Address{Host: tt.to}); !errors.As(err, &noSite) || noSite.Error() != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestATestShowsThatNoSiteServesTheApp(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", always(providers.Delivered())))
	r.Sites = []Site{siteFor("push.example.org", "443", "other")}
	request, _ := Decode([]byte(event("$1", device("key"))), 1)
	got, err := r.Try(t.Context(), request, Address{})
	if err != nil || got.Outcome != "delivered" || got.Result != "rejected" || !strings.Contains(got.Note, "no site serves the app") {
		t.Errorf("got %+v: %v", got, err)
	}
}

func TestWhereNotificationsArriveIsExplained(t *testing.T) {
	t.Parallel()
	wildcard := Site{
		Ports: []string{"443"}, Accepts: func(h string) bool { return strings.HasSuffix(h, ".wild.example") }, Serves: func(*App) bool { return true },
		Proves: func(Address, string) providers.Site { return providers.Site{} },
	}
	for _, tt := range []struct {
		name, appID    string
		to             Address
		result, detail string
	}{
		{"a site", "app", Address{"gw.example", ""}, ArrivesNamed, ""},
		{"a site at another port, which a container may map", "app", Address{"GW.example", "9999"}, ArrivesNamed, ""},
		{"a name that a wildcard covers", "app", Address{"a.wild.example", ""}, ArrivesAccepted, ""},
		{"a site that does not serve the app", "app", Address{"other.example", ""}, ArrivesUnserved, `does not serve the app "app"`},
		{"a site, for an app that there is not", "unknown", Address{"other.example", ""}, ArrivesNamed, ""},
		{"no site", "app", Address{"matrix.org", ""}, ArrivesNowhere, `no site of the gateway has the name "matrix.org"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, appFor("app", always(providers.Delivered())))
			r.Sites = []Site{siteFor("gw.example", "443"), siteFor("other.example", "443", "none"), wildcard}
			known := Described{AppID: tt.appID, Device: &providers.Device{AppID: tt.appID, Pushkey: "key"}, Site: tt.to}
			e, err := r.Explain(t.Context(), rejected.KeyOf(tt.appID, "key"), known)
			if err != nil {
				t.Fatal(err)
			}
			if a := e.Arrival; a == nil || a.Result != tt.result || !strings.Contains(a.Detail, tt.detail) || (a.Detail == "") != (tt.detail == "") {
				t.Errorf("got %+v", a)
			}
		})
	}
}
