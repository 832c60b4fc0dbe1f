package endpoint

import (
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestAWrongOptionIsNamed(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		options    Options
	}{
		{"the endpoint is not a URL", "endpoint: ", Options{Options: network.Options{Endpoint: "::"}}},
		{"the endpoint is plain HTTP", "endpoint: ", Options{Options: network.Options{Endpoint: "http://relay.example"}}},
		{"the endpoint has no host", "endpoint: ", Options{Options: network.Options{Endpoint: "https://:8443"}}},
		{"the endpoint has a user", "endpoint: ", Options{Options: network.Options{Endpoint: "https://user:secret@relay.example"}}},
		{"the endpoint has a path", "endpoint: ", Options{Options: network.Options{Endpoint: "https://relay.example/secret"}}},
		{"the endpoint has a query", "endpoint: ", Options{Options: network.Options{Endpoint: "https://relay.example?secret"}}},
		{"the authority's file is not there", "trusted_ca: ", Options{Options: network.Options{TrustedCA: filepath.Join(t.TempDir(), "no.pem")}}},
		{"the authority's file has no certificate", "trusted_ca: ", Options{Options: network.Options{TrustedCA: empty}}},
		{"the authority's placeholder is empty", "trusted_ca: ", Options{Options: network.Options{TrustedCA: "{env.NOT_SET_IN_THIS_TEST}"}}},
		{"the proxy is not a URL", "proxy: ", Options{Options: network.Options{Proxy: "user:secret@proxy example:3128"}}},
		{"the proxy has another scheme", "proxy: ", Options{Options: network.Options{Proxy: "ftp://user:secret@proxy.example"}}},
		{"the proxy's placeholder is empty", "proxy: ", Options{Options: network.Options{Proxy: "{env.NOT_SET_IN_THIS_TEST}"}}},
		{"the network is a name", "allow_private: ", Options{AllowPrivate: []string{"localhost"}}},
		{"the network has too many bits", "allow_private: ", Options{AllowPrivate: []string{"10.0.0.0/8", "10.0.0.0/33"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := NewClient(newContext(t, nil), &test.options)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close after that: %v", err)
			}
		})
	}
}

func TestOptionsTakePlaceholders(t *testing.T) {
	t.Setenv("ENDPOINT_TEST_CA", providertest.NewCA(t).File)
	t.Setenv("ENDPOINT_TEST_PROXY", "none")
	s, err := (&Options{Options: network.Options{TrustedCA: "{env.ENDPOINT_TEST_CA}", Proxy: "{env.ENDPOINT_TEST_PROXY}"}}).resolve()
	if err != nil {
		t.Fatal(err)
	}
	if proxy, err := s.Proxy(&url.URL{Scheme: "https", Host: "push.example"}); s.Roots == nil || proxy != nil || err != nil {
		t.Errorf("the settings are %+v", s)
	}
}

func TestOptionsAreReadFromACaddyfile(t *testing.T) {
	t.Parallel()
	d := caddyfile.NewTestDispenser(`endpoint https://relay.example
		trusted_ca ca.pem
		proxy none
		allow_private 10.0.0.0/8 ::1
		own_paths /up* /exactly
		allow_private 127.0.0.1
		own_paths /other/*`)
	var got Options
	for d.Next() {
		if known, err := got.UnmarshalOption(d); err != nil || !known {
			t.Fatalf("%s: %v, %v", d.Val(), known, err)
		}
	}
	want := Options{
		Options:      network.Options{Endpoint: "https://relay.example", TrustedCA: "ca.pem", Proxy: "none"},
		AllowPrivate: []string{"10.0.0.0/8", "::1", "127.0.0.1"},
		OwnPaths:     []string{"/up*", "/exactly", "/other/*"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}
