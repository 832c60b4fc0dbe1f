package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// advertising is a provider with or without a key.
type advertising struct{ key string }

func (advertising) Push(context.Context, *providers.Push) providers.Outcome {
	return providers.Delivered()
}

func (a advertising) Advertise() providers.Advertisement {
	return providers.Advertisement{ApplicationServerKey: a.key}
}

// withKeys returns the admin API of a gateway with these apps.
func withKeys(t *testing.T, provided map[string]providers.Provider) *rig {
	t.Helper()
	var apps []*gateway.App
	for pattern, provider := range provided {
		apps = append(apps, &gateway.App{Pattern: pattern, ProviderName: "fake", Provider: provider})
	}
	router, err := gateway.NewRouter(apps)
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(gateway.Options{Router: router, Shared: gateway.NewShared()})
	return &rig{t: t, find: func() (*gateway.Gateway, error) { return g, nil }}
}

func TestTheKeysAreShownByAppAndByAppID(t *testing.T) {
	t.Parallel()
	r := withKeys(t, map[string]providers.Provider{
		"org.example.web*": advertising{"WEB"}, "org.example.web.beta": advertising{"BETA"}, "org.example.ios": advertising{}, "org.silent.*": &fakeProvider{},
		"org.up.*": advertising{"UP"},
	})

	all := r.want(http.StatusOK, "GET", "/matrix_push/keys", "", `{"app":"org.example.web*","provider":"fake","application_server_key":"WEB"}`,
		`{"app":"org.example.web.beta","provider":"fake","application_server_key":"BETA"}`, `{"app":"org.up.*","provider":"fake","application_server_key":"UP"}`)
	if n := strings.Count(all, `"app":`); n != 3 {
		t.Errorf("%d apps have a key: %s", n, all)
	}
	for query, want := range map[string]string{
		"org.example.web1": "WEB", "org.example.web.beta": "BETA", "org.example.web%2A": "WEB", "org.up.phone": "UP",
	} {
		answer := r.want(http.StatusOK, "GET", "/matrix_push/keys?app_id="+query, "", `"application_server_key":"`+want+`"}]}`)
		if strings.Count(answer, `"app":`) != 1 {
			t.Errorf("%s: %s", query, answer)
		}
	}
	const needs = `its provider is fake, and only webpush and unifiedpush have keys`
	r.want(http.StatusNotFound, "GET", "/matrix_push/keys?app_id=org.example.ios", "", `app \"org.example.ios\" has no application server key`, needs)
	r.want(http.StatusNotFound, "GET", "/matrix_push/keys?app_id=org.silent.x", "", `app \"org.silent.*\" has no application server key`, needs)
	r.want(http.StatusNotFound, "GET", "/matrix_push/keys?app_id=com.other", "", `no app serves \"com.other\"`, "org.example.web*", "org.up.*")
	r.want(http.StatusBadRequest, "GET", "/matrix_push/keys?app=org.up.x", "", `unknown parameter \"app\"`)
	r.want(http.StatusMethodNotAllowed, "POST", "/matrix_push/keys", "{}")
}

func TestAnErrorNamesTwentyAppsAtMost(t *testing.T) {
	t.Parallel()
	apps := make(map[string]providers.Provider)
	for i := range 30 {
		apps[fmt.Sprintf("app%02d", i)] = advertising{"KEY"}
	}
	r := withKeys(t, apps)
	if answer := r.want(http.StatusNotFound, "GET", "/matrix_push/keys?app_id=other", "", "10 more"); strings.Count(answer, "app0")+strings.Count(answer, "app1")+
		strings.Count(answer, "app2") != 20 {
		t.Errorf("it names %s", answer)
	}
	r = withKeys(t, map[string]providers.Provider{"a": advertising{}})
	r.want(http.StatusOK, "GET", "/matrix_push/keys", "", `{"keys":[]}`)
}
