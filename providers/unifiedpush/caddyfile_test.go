package unifiedpush

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

func TestEveryOptionIsReadFromACaddyfile(t *testing.T) {
	t.Parallel()
	var p Provider
	err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(`unifiedpush {
		vapid_subject mailto:ops@example.org
		vapid_key_file vapid.pem
		allow_private 10.0.0.0/8 ::1
		allow_private 127.0.0.1
		own_paths /up* /a
		endpoint https://relay.example
		trusted_ca ca.pem
		proxy none
	}`))
	if err != nil {
		t.Fatal(err)
	}
	want := webpushmessage.Options{
		Options: endpoint.Options{
			Options:      network.Options{Endpoint: "https://relay.example", TrustedCA: "ca.pem", Proxy: "none"},
			AllowPrivate: []string{"10.0.0.0/8", "::1", "127.0.0.1"},
			OwnPaths:     []string{"/up*", "/a"},
		},
		VapidSubject: "mailto:ops@example.org", VapidKeyFile: "vapid.pem",
	}
	if !reflect.DeepEqual(p.Options, want) {
		t.Errorf("got %+v", p.Options)
	}
}

func TestAWrongCaddyfileIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, caddyfile, want string }{
		{"an argument of the provider's", "unifiedpush yes", "argument"},
		{"an option that there is not", "unifiedpush {\nvapid_key x\n}", "unifiedpush has no option \"vapid_key\""},
		{"an option twice", "unifiedpush {\nproxy none\nproxy none\n}", "proxy is given twice"},
		{"a subject twice", "unifiedpush {\nvapid_subject mailto:a@b.c\nvapid_subject mailto:a@b.c\n}", "vapid_subject is given twice"},
		{"an option without its argument", "unifiedpush {\nendpoint\n}", "argument"},
		{"an option with an empty argument", "unifiedpush {\ntrusted_ca \"\"\n}", "argument"},
		{"an option with two arguments", "unifiedpush {\nvapid_key_file a b\n}", "argument"},
		{"no path", "unifiedpush {\nown_paths\n}", "argument"},
		{"no network", "unifiedpush {\nallow_private\n}", "argument"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := new(Provider).UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.caddyfile))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
