package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Caddy has one configuration per process, so these tests are not parallel.

func TestAnAppsHostsAreThePublicNamesOfTheSitesThatMountIt(t *testing.T) {
	const onlyA = "matrix_push {\napps a\n}\n"
	const both = "matrix_push\n"
	many := make([]string, 0, 150) // Caddy sorts that many
	for i := range 150 {
		many = append(many, fmt.Sprintf("n%03d.matrix.org", i))
	}
	for _, tt := range []struct{ name, sites, a, b string }{
		{"no site", "", "", ""},
		{"a site that mounts nothing", "push.matrix.org {\nrespond 200\n}", "", ""},
		{"a site", "push.matrix.org {\n" + both + "}", "push.matrix.org", "push.matrix.org"},
		{"a site for one app", "push.matrix.org {\n" + onlyA + "}", "push.matrix.org", ""},
		{
			"a site for each app", "push.matrix.org {\n" + onlyA + "}\nweb.matrix.org {\nmatrix_push {\napps b\n}\n}",
			"push.matrix.org", "web.matrix.org",
		},
		{
			"a site in capitals, in other letters, with a port", "https://Push.Bücher.DE:8443 {\n" + onlyA + "}",
			"push.xn--bcher-kva.de", "",
		},
		{"several names of a site", "two.matrix.org, one.matrix.org {\n" + onlyA + "}", "two.matrix.org one.matrix.org", ""},
		{"many names of a site", strings.Join(many, ", ") + " {\n" + onlyA + "}", strings.Join(many, " "), ""},
		{"one name of two sites", "push.matrix.org {\n" + onlyA + "}\npush.matrix.org:8443 {\n" + onlyA + "}", "push.matrix.org", ""},
		{"a site behind a proxy", "http://push.matrix.org {\nmatrix_push {\nplaintext trusted_proxy\n}\n}", "push.matrix.org", "push.matrix.org"},
		{"a site without TLS", "http://push.matrix.org:8080 {\nmatrix_push {\nplaintext allow\n}\n}", "push.matrix.org", "push.matrix.org"},

		{"a wildcard", "*.matrix.org {\ntls internal\n" + both + "}", "", ""},
		{"a placeholder", "http://{env.MATRIX_PUSH_TEST_NAME} {\nmatrix_push {\nplaintext allow\n}\n}", "", ""},
		{"an address", "https://9.9.9.9, https://[2620:fe::9] {\n" + both + "}", "", ""},
		{"every name", "https:// {\ntls internal\n" + both + "}", "", ""},
		{"special-use names", "localhost, gw.local, gw.internal, gw.test, gw.home.arpa, gw.onion, gw.alt, gw.invalid {\ntls internal\n" + both + "}", "", ""},
		{"a single label", "gateway {\ntls internal\n" + both + "}", "", ""},
		{"a public name after others", "localhost, gateway, 9.9.9.9, push.matrix.org {\ntls internal\n" + both + "}", "push.matrix.org", "push.matrix.org"},

		{"a mount in handle and route", "push.matrix.org {\nhandle /_matrix/* {\nroute {\n" + both + "}\n}\n}", "push.matrix.org", "push.matrix.org"},
		{
			"a matcher in a site narrows it", "one.matrix.org, two.matrix.org {\n@two host two.matrix.org\nhandle @two {\n" + onlyA + "}\n}",
			"two.matrix.org", "",
		},
		{
			"a matcher in a wildcard's site", "*.matrix.org {\ntls internal\n@push host push.matrix.org\nhandle @push {\n" + onlyA + "}\n}",
			"push.matrix.org", "",
		},
		{"a wildcard in a site", "one.matrix.org, one.ntfy.sh {\n@m host *.matrix.org\nhandle @m {\n" + onlyA + "}\n}", "one.matrix.org", ""},
		{"a name in a site that never has it", "one.matrix.org {\n@two host two.matrix.org\nhandle @two {\n" + onlyA + "}\n}", "", ""},
		{
			"a name that a matcher takes away", "one.matrix.org, two.matrix.org {\n@not not host one.matrix.org\nhandle @not {\n" + onlyA + "}\n}",
			"two.matrix.org", "",
		},
		{
			"a name that a matcher takes away for one path", "one.matrix.org {\n@not {\nnot {\nhost one.matrix.org\npath /up*\n}\n}\nhandle @not {\n" + onlyA + "}\n}",
			"one.matrix.org", "",
		},
		{"a named route", "&(gw) {\n" + onlyA + "}\npush.matrix.org {\ninvoke gw\n}", "push.matrix.org", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("MATRIX_PUSH_TEST_NAME", "env.matrix.org")
			const global = "{\nauto_https disable_redirects\nskip_install_trust\nmatrix_push {\nrejected memory\noutbox off\napp a {\nunifiedpush\n}\napp b {\nunifiedpush\n}\n}\n}\n"
			adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(global+tt.sites), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := hostsByApp(t, adapted)
			if a, b := strings.Join(got["a"], " "), strings.Join(got["b"], " "); a != tt.a || b != tt.b {
				t.Errorf("app a has %q, want %q; app b has %q, want %q", a, tt.a, b, tt.b)
			}
		})
	}
}

func TestServersAreAskedInTheOrderInWhichTheCaddyfileNumbersThem(t *testing.T) {
	servers := make(map[string]any)
	for i := range 12 {
		servers[fmt.Sprintf("srv%d", i)] = map[string]any{"routes": []any{map[string]any{
			"match":  []any{map[string]any{"host": []string{fmt.Sprintf("n%d.matrix.org", i)}}},
			"handle": []any{map[string]any{"handler": "matrix_push", "plaintext": "allow"}},
		}}}
	}
	config := map[string]any{"apps": map[string]any{
		"http":        map[string]any{"servers": servers},
		"matrix_push": map[string]any{"rejected": map[string]any{"name": "memory"}, "outbox": map[string]any{"name": "off"}},
	}}
	got := hostsByApp(t, caddyconfig.JSON(config, nil))["*"]
	if len(got) != 12 || got[0] != "n0.matrix.org" || got[2] != "n2.matrix.org" || got[11] != "n11.matrix.org" {
		t.Errorf("the hosts are %q", got)
	}
}

// Caddy does not load a named route that invokes itself if requests can reach it. Walking it must still end.
func TestRoutesThatInvokeEachOtherEnd(t *testing.T) {
	invoke := func(name string) map[string]any { return map[string]any{"handler": "invoke", "name": name} }
	handler := map[string]any{"handler": "matrix_push", "plaintext": "allow"}
	config := map[string]any{"apps": map[string]any{
		"http": map[string]any{"servers": map[string]any{"s": map[string]any{
			"named_routes": map[string]any{
				"one": map[string]any{"handle": []any{invoke("two"), invoke("nowhere")}},
				"two": map[string]any{"handle": []any{invoke("one"), handler}},
			},
			"routes": []any{map[string]any{
				"match": []any{map[string]any{"host": []string{"push.matrix.org"}}}, "handle": []any{invoke("one")},
			}},
		}}},
		"matrix_push": map[string]any{"rejected": map[string]any{"name": "memory"}, "outbox": map[string]any{"name": "off"}},
	}}
	if got := hostsByApp(t, caddyconfig.JSON(config, nil))["*"]; !slices.Equal(got, []string{"push.matrix.org"}) {
		t.Errorf("the hosts are %q", got)
	}
}

// provisioned provisions a configuration.
func provisioned(t *testing.T, config []byte) caddy.Context {
	t.Helper()
	var c caddy.Config
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	c.StorageRaw = caddyconfig.JSON(map[string]string{"module": "file_system", "root": t.TempDir()}, nil)
	ctx, err := caddy.ProvisionContext(&c)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// hostsByApp provisions a configuration and returns the hosts that its apps' providers get.
func hostsByApp(t *testing.T, config []byte) map[string][]string {
	t.Helper()
	ctx := provisioned(t, config)
	configured, err := ctx.AppIfConfigured("matrix_push")
	if err != nil {
		t.Fatal(err)
	}
	app := configured.(*App)
	defer app.release()
	sites, got := mounts(ctx), make(map[string][]string)
	for _, a := range app.gateway.Router.Apps() {
		got[a.Pattern] = publicHosts(sites, a)
	}
	return got
}
