package webpushrelay

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

func TestEveryOptionIsReadFromACaddyfile(t *testing.T) {
	t.Parallel()
	var p Provider
	err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(`webpush_relay {
		hosts fcm.googleapis.com *.push.apple.com
		hosts updates.push.services.mozilla.com
		allow_private 10.0.0.0/8
		own_paths /up*
		endpoint https://relay.example
		trusted_ca ca.pem
		proxy none
	}`))
	if err != nil {
		t.Fatal(err)
	}
	want := endpoint.Options{
		Options:      network.Options{Endpoint: "https://relay.example", TrustedCA: "ca.pem", Proxy: "none"},
		AllowPrivate: []string{"10.0.0.0/8"}, OwnPaths: []string{"/up*"},
	}
	hosts := []string{"fcm.googleapis.com", "*.push.apple.com", "updates.push.services.mozilla.com"}
	if !reflect.DeepEqual(p.Options, want) || !slices.Equal(p.Hosts, hosts) {
		t.Errorf("got %+v, %q", p.Options, p.Hosts)
	}
}

func TestAWrongCaddyfileIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, caddyfile, want string }{
		{"an argument of the provider's", "webpush_relay yes", "argument"},
		{"an option that there is not", "webpush_relay {\nhost x\n}", `webpush_relay has no option "host": did you mean "hosts"`},
		{"no host", "webpush_relay {\nhosts\n}", "hosts <host> …, such as *.push.apple.com"},
		{"an option twice", "webpush_relay {\nproxy none\nproxy none\n}", "proxy is given twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := new(Provider).UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.caddyfile))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
