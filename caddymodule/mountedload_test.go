package caddymodule_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func init() {
	caddy.RegisterModule(new(tenant))
}

// tenant is a third-party provider that asks for its sites.
type tenant struct {
	thirdParty

	// Name identifies the tenant.
	Name string `json:"tenant,omitempty"`
}

func (*tenant) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.test_tenant", New: func() caddy.Module { return new(tenant) }}
}

// moved has the calls to tenants, in order.
var moved []string

func (p *tenant) Mounted(hosts []string) error {
	moved = append(moved, p.Name+" mounted at "+strings.Join(hosts, " "))
	if p.Name == "picky" {
		return errors.New("nowhere to live")
	}
	return nil
}

func (p *tenant) Start(context.Context) error {
	moved = append(moved, p.Name+" started")
	return nil
}

var (
	_ providers.Mounted = (*tenant)(nil)
	_ providers.Starter = (*tenant)(nil)
)

// siteOf returns a Caddy app with one site, on a port that the system chooses, that mounts some of the gateway's apps.
func siteOf(host string, apps ...string) map[string]any {
	handler := map[string]any{"handler": "matrix_push", "plaintext": "allow", "apps": apps}
	return map[string]any{"http": map[string]any{"servers": map[string]any{"s": map[string]any{
		"listen": []string{"127.0.0.1:0"}, "automatic_https": map[string]any{"disable": true},
		"routes": []any{map[string]any{"match": []any{map[string]any{"host": []string{host}}}, "handle": []any{handler}}},
	}}}}
}

func TestAProviderKnowsItsSitesBeforeItStartsAndOnlyWhenTheConfigurationGoesLive(t *testing.T) {
	of := func(name string) map[string]any {
		return map[string]any{"name": "test_tenant", "greeting": "hi", "tenant": name}
	}
	moved = nil
	two := config(t, map[string]any{"a": of("one"), "b": of("two")}, siteOf("push.matrix.org", "a"))
	if err := validate(t, string(two)); err != nil {
		t.Fatal(err)
	}
	if len(moved) > 0 {
		t.Errorf("to validate, told was %q", moved)
	}
	load(t, two)
	if want := []string{"one mounted at push.matrix.org", "one started", "two mounted at ", "two started"}; !slices.Equal(moved, want) {
		t.Errorf("told was %q", moved)
	}
	err := caddy.Load(config(t, map[string]any{"a": of("picky")}, nil), true)
	if err == nil || !strings.Contains(err.Error(), `app "a": nowhere to live`) {
		t.Errorf("it loads: %v", err)
	}
}

func TestWebPushNeedsASubjectOrASiteWithAPublicNameToGoLive(t *testing.T) {
	web := map[string]any{"org.example.web": map[string]any{"name": "webpush"}, "org.example.up": map[string]any{"name": "unifiedpush"}}
	for _, tt := range []struct {
		name  string
		sites map[string]any
		loads bool
	}{
		{"no site", nil, false},
		{"a site with a public name", siteOf("push.matrix.org", "org.example.web"), true},
		{"a site with a public name for another app", siteOf("push.matrix.org", "org.example.up"), false},
		{"a site whose name cannot be public", siteOf("gateway.internal", "org.example.web"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t, web, tt.sites)
			if err := validate(t, string(c)); err != nil {
				t.Fatalf("it is not valid: %v", err)
			}
			err := caddy.Load(c, true)
			if err == nil {
				t.Cleanup(func() { _ = caddy.Stop() })
			}
			const want = `app "org.example.web": vapid_subject is missing: push services require a way to contact you: ` +
				`write one such as vapid_subject mailto:ops@example.org, or give a site that mounts the app a public name`
			if tt.loads != (err == nil) || err != nil && !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
