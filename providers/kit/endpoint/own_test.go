package endpoint

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Finding 7: rules that trust the gateway's address took such a push for a request from their own network.
func TestAPushToTheOwnSiteSaysWhatItIsAndForWhomItIsMade(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		w.WriteHeader(http.StatusCreated)
	}))
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	own := providers.Site{Host: "localhost", Port: portOfServer(t, server), Client: "198.51.100.7"}
	before := own // as an earlier version kept it
	before.Client = ""
	for _, test := range []struct {
		name, endpoint   string
		site             providers.Site
		marked, forwards string
	}{
		{"to the own site", "https://localhost:PORT/up", own, "own-site", "198.51.100.7"},
		{"to the own site, of a sender who is not known", "https://localhost:PORT/up", before, "own-site", ""},
		{"to any other site", "https://127.0.0.1:PORT/up", own, "", ""},
	} {
		want(t, post(t.Context(), t, c, at(t, server, test.endpoint), test.site), providers.KindDelivered, "delivered")
		h := <-got
		if h.Get("Caddy-Matrix-Push") != test.marked || h.Get("X-Forwarded-For") != test.forwards {
			t.Errorf("%s: the header is %v", test.name, h)
		}
	}
}

func TestOwnPathsAreAllThatTheOwnSiteGets(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, OwnPaths: []string{"/up*", "/index.php/apps/uppush/push/*", "/exactly"}})
	own := providers.Site{Host: "localhost", Port: portOfServer(t, server)}
	allowed := []string{"/upABC?up=1", "/up", "/up/a/b", "/upA/", "/index.php/apps/uppush/push/1", "/exactly", "/%75pABC", "/up%20a", "/upé"}
	others := []string{
		"/", "", "/UPabc", "/admin/delete-everything", "/exactly/", "/exactly2", "/index.php/apps/uppush/push", "/a/upABC", "//upABC", "?/up", "#/up",
		"/up/../admin", "/up/%2e%2e/admin", "/up/..%2fadmin", "/up%2F..%2Fadmin", "/up%2Fadmin", "/up/./../admin", "/up/%252e%252e/admin", "/up//admin",
		"/up/..%5Cadmin", "/up/..;/admin", "/up;/../admin", "/up%00/admin", "/%2Fup",
	}
	for _, path := range allowed {
		want(t, post(t.Context(), t, c, at(t, server, "https://localhost:PORT"+path), own), providers.KindDelivered, "delivered")
	}
	before := server.Connections()
	for _, path := range others {
		o := post(t.Context(), t, c, at(t, server, "https://localhost:PORT"+path), own)
		want(t, o, providers.KindDropped, "own_path")
		if !o.Blocked || o.Err == nil || strings.Contains(o.Err.Error(), "admin") {
			t.Errorf("%s: the outcome is %+v", path, o)
		}
	}
	if now := server.Connections(); now != before {
		t.Errorf("%d connections were made for what is not allowed", now-before)
	}
}

func TestOwnPathsSayNothingOfOtherSites(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	o := Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}, OwnPaths: []string{"/up*"}}
	site := providers.Site{Host: "push.example", Port: "443"}
	want(t, post(t.Context(), t, newClient(t, o), server.URL+"/wpush/v2/a", site), providers.KindDelivered, "delivered")
	o.Endpoint = server.URL
	want(t, post(t.Context(), t, newClient(t, o), "https://push.example/other", site), providers.KindDelivered, "delivered")
}

func TestAWrongOwnPathIsNamed(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"up*": "does not begin with /", "": "does not begin with /", "*": "does not begin with /", "https://push.example/up": "does not begin with /",
		"/up*/b": "a * before its end", "/up**": "a * before its end", "/a/../b": "not a plain path", "/a//b*": "not a plain path",
		"/a%20b": "not a plain path", `/a\b`: "not a plain path", "/a;b": "not a plain path", "/up?up=1": "has a query", "/up#a": "has a query",
	} {
		_, err := (&Options{OwnPaths: []string{"/up*", given}}).resolve()
		if err == nil || !strings.HasPrefix(err.Error(), "own_paths: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", given, err)
		}
	}
	for _, given := range []string{"/", "/*", "/up*", "/up/", "/a/*", "/é*", "/a.b"} {
		if _, err := (&Options{OwnPaths: []string{given}}).resolve(); err != nil {
			t.Errorf("%q: got %v", given, err)
		}
	}
}
