package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// P6 of the newcomer's report: a proxy that does not pass on the Host got an empty 200 from Caddy. Not parallel, as Caddy has one
// configuration per process.
func TestCheckWarnsOfASiteWhereAnotherHostGetsAnEmptyAnswer(t *testing.T) {
	const gateway = " {\nbind 127.0.0.1\nmatrix_push {\nplaintext trusted_proxy\n}\n}\n"
	const site = "http://push.example.org:8080" + gateway
	for _, tt := range []struct{ name, sites, want string }{
		{"one name", site, "site push.example.org on 127.0.0.1:8080: "},
		{"one name, from anybody", strings.Replace(site, "trusted_proxy", "allow", 1), "site push.example.org on 127.0.0.1:8080: "},
		{"several names", "http://a.example.org:8080, http://b.example.org:8080" + gateway, "site a.example.org, b.example.org on 127.0.0.1:8080: "},
		{"names below a domain", "http://*.example.org:8080" + gateway, "site 127.0.0.1:8080: "},
		{"another site with a name", site + "http://other.example.org:8080 {\nbind 127.0.0.1\nrespond 421\n}", "site push.example.org"},
		{"a site for all other names on another port", site + "http://:8081 {\nbind 127.0.0.1\nrespond 421\n}", "site push.example.org"},
		{"one that answers another path only", site + "http://:8080 {\nbind 127.0.0.1\nrespond /health 200\n}", "site push.example.org"},
		{"one that answers nothing", site + "http://:8080 {\nbind 127.0.0.1\nheader X-A b\nencode\n}", "site push.example.org"},
		{"a gateway for one name in a site for all", "http://:8080 {\nbind 127.0.0.1\n@a host push.example.org\nhandle @a {\nmatrix_push {\nplaintext allow\n}\n}\n}", "site push.example.org"},

		{"every name", "http://:8080" + gateway, ""},
		{"a site for all other names", site + "http://:8080 {\nbind 127.0.0.1\nrespond 421\n}", ""},
		{"one that closes the connection", site + "http://:8080 {\nbind 127.0.0.1\nabort\n}", ""},
		{"one that answers the endpoint", site + "http://:8080 {\nbind 127.0.0.1\nhandle_path /_matrix/* {\nerror 404\n}\n}", ""},
		{"one with a named route", "&(rest) {\nrespond 421\n}\n" + site + "http://:8080 {\nbind 127.0.0.1\ninvoke rest\n}", ""},
		{"one with a proxy", site + "http://:8080 {\nbind 127.0.0.1\nreverse_proxy 127.0.0.1:9\n}", ""},
		{"a site with TLS", "push.example.org {\nmatrix_push\n}", ""},
		{"a site without the gateway", "push.example.org {\nmatrix_push\n}\nhttp://other.example.org:8080 {\nrespond 200\n}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const global = "{\nauto_https disable_redirects\nskip_install_trust\nmatrix_push {\nrejected memory\noutbox off\n}\n}\n"
			adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(global+tt.sites), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := sitesWarnings(t, adapted)
			if (tt.want == "") != (len(got) == 0) || len(got) > 1 || !strings.HasPrefix(strings.Join(got, ""), tt.want) {
				t.Errorf("it warns %q, want %q", got, tt.want)
			}
		})
	}
}

// sitesWarnings provisions a configuration and returns the warnings about other hosts.
func sitesWarnings(t *testing.T, config []byte) []string {
	t.Helper()
	ctx := provisioned(t, config)
	plan, err := inspect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	var list []string
	for _, warning := range plan.Warnings {
		if strings.HasPrefix(warning, "site ") {
			list = append(list, warning)
		}
	}
	return list
}
