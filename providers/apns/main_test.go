package apns

import (
	"context"
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

const (
	keyID  = "ABC123DEFG"
	teamID = "TEAM123456"
	bundle = "org.example.ios"
)

// bench is a provider with a key, and the APNs that it delivers to.
type bench struct {
	*apnstest.Service
	*Provider
	key *ecdsa.PrivateKey
}

// newBench sets both up; change may modify the provider.
func newBench(t *testing.T, change func(*apnstest.Options, *Provider)) *bench {
	t.Helper()
	key, p8 := apnstest.NewKey(t)
	options := apnstest.Options{
		Keys: []apnstest.Key{{KeyID: keyID, TeamID: teamID, Public: &key.PublicKey, Topics: []string{bundle}}},
	}
	p := &Provider{Topic: bundle, KeyFile: writeFile(t, "key.p8", p8), KeyID: keyID, TeamID: teamID}
	if change != nil {
		change(&options, p)
	}
	service := apnstest.New(t, options)
	p.Options = network.Options{Endpoint: service.URL, TrustedCA: service.CAFile, Proxy: "none"}
	return &bench{Service: service, Provider: live(t, p), key: key}
}

// live returns a provisioned provider that is cleaned up at the end.
func live(t *testing.T, p *Provider) *Provider {
	t.Helper()
	t.Cleanup(func() {
		if err := p.Cleanup(); err != nil {
			t.Errorf("Cleanup: %v", err)
		}
	})
	if err := p.Provision(messagetest.NewContext(t)); err != nil {
		t.Fatal(err)
	}
	return p
}

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pushkey is a device token, and device its hexadecimal form.
const (
	pushkey = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="
	device  = "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
)

// alert is a push of an event to a device as Element X registers it.
func alert() *providers.Push {
	return &providers.Push{
		Notification: &providers.Notification{EventID: "$event", RoomID: "!room:example.org"},
		Device: &providers.Device{
			Pushkey: pushkey,
			Data:    []byte(`{"default_payload": {"aps": {"mutable-content": 1, "alert": {"loc-key": "Notification", "loc-args": []}}}}`),
		},
		ID: uuid.NewString(), Expires: time.Now().Add(time.Hour),
	}
}

func (b *bench) want(t *testing.T, p *providers.Push, kind providers.Kind, reason string) {
	t.Helper()
	if o := b.Push(t.Context(), p); o.Kind != kind || o.Reason != reason {
		t.Errorf("the outcome is %s (%s, %v), want %s (%s)", o.Kind, o.Reason, o.Err, kind, reason)
	}
}

// last returns the push that APNs accepted last.
func (b *bench) last(t *testing.T) apnstest.Push {
	t.Helper()
	for _, v := range b.Violations() {
		t.Errorf("APNs refused a push: %s", v)
	}
	pushes := b.Pushes()
	if len(pushes) == 0 {
		t.Fatal("APNs took no push")
	}
	return pushes[len(pushes)-1]
}

// await waits until APNs is in a state.
func (b *bench) await(t *testing.T, state string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Await(ctx, condition); err != nil {
		t.Fatalf("%s: %v", state, err)
	}
}

func contains(s, part string) bool { return strings.Contains(s, part) }
