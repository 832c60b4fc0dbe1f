package redisclient

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// push is a user that may do all, with the password secret, in the form of redis-server's options.
var push = []string{"--user", "push", "on", ">" + secret, "~*", "&*", "+@all"}

// patience is a timeout for a busy machine.
const patience = caddy.Duration(5 * time.Second)

func serversAt(addresses []string) Servers {
	return Servers{Addresses: addresses, Username: "push", Password: secret, DialTimeout: patience, ReadTimeout: patience}
}

func sentinelAt(addresses ...string) Address {
	return Address{Sentinel: &Sentinel{Master: redistest.Master, Servers: serversAt(addresses)}}
}

func clusterAt(addresses ...string) Address { return Address{Cluster: &Cluster{serversAt(addresses)}} }

// urlAt returns the URL of the user push at a server.
func urlAt(scheme, address string) string {
	return scheme + "://push:" + secret + "@" + address + "?dial_timeout=5s&read_timeout=5s&write_timeout=5s"
}

// loadAt takes a share of the connections to an address.
func loadAt(t *testing.T, a Address) *Client {
	t.Helper()
	c, err := Load(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Unload(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// probeAt returns the error and the log of a load. Neither may have the secret.
func probeAt(t *testing.T, a Address) (string, error) {
	t.Helper()
	var log bytes.Buffer
	c := loadAt(t, a)
	err := c.Probe(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), trialKey)
	if shown := log.String() + c.Location(); strings.Contains(shown, secret) || err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the secret is shown: %v, %s", err, shown)
	}
	return log.String(), err
}

// refusal is an address that cannot be used, and what the error must say.
type refusal struct {
	name string
	at   Address
	want string
}

func wantRefused(t *testing.T, refusals []refusal) {
	t.Helper()
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			if log, err := probeAt(t, tt.at); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q; the log is %s", err, tt.want, log)
			}
		})
	}
}

// eventually waits until something is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it never happens", what)
		}
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
