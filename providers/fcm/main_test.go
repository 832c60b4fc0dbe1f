package fcm

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

func TestMain(m *testing.M) {
	benchtest.Serve(http.HandlerFunc(serveBenchmark))
	goleak.VerifyTestMain(m)
}

// serveBenchmark replaces FCM and the token endpoint in the benchmarks: it accepts everything.
func serveBenchmark(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	answer := `{"name": "projects/demo-project/messages/0:1"}`
	if r.URL.Path == "/token" {
		answer = `{"access_token": "` + benchmarkToken + `", "expires_in": 3600, "token_type": "Bearer"}`
	}
	_, _ = io.WriteString(w, answer)
}

// bench is a provider with a service account, and the FCM that it delivers to.
type bench struct {
	*fcmtest.Service
	*Provider
}

// newBench sets both up; change may modify the provider.
func newBench(t *testing.T, change func(*fcmtest.Service, *Provider)) *bench {
	t.Helper()
	service := fcmtest.New(t, fcmtest.Options{})
	return &bench{Service: service, Provider: live(t, providerOf(t, service, change))}
}

// providerOf returns a provider for an FCM that is not provisioned yet.
func providerOf(t *testing.T, service *fcmtest.Service, change func(*fcmtest.Service, *Provider)) *Provider {
	t.Helper()
	p := &Provider{Options: network.Options{Endpoint: service.URL, TrustedCA: service.CAFile, Proxy: "none"}}
	if change != nil {
		change(service, p)
	}
	if p.CredentialsFile == "" {
		p.CredentialsFile = service.ServiceAccount(t)
	}
	return p
}

// beside returns another provider for the same FCM, as after a reload or in another app.
func (b *bench) beside(t *testing.T, change func(*Provider)) *bench {
	t.Helper()
	p := &Provider{Options: b.Options, CredentialsFile: b.CredentialsFile, ProjectID: b.ProjectID}
	if change != nil {
		change(p)
	}
	return &bench{Service: b.Service, Provider: live(t, p)}
}

// live returns a provisioned provider that is cleaned up at the end.
func live(t testing.TB, p *Provider) *Provider {
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

func writeFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// pushkey is a registration token.
const pushkey = "dGVzdA1234567890abcdef:APA91bF-very_secret"

// alert is a push of an event to a device as Element X registers it.
func alert() *providers.Push { return pushOf(messagetest.Alert().Reduced()) }

func pushOf(n *providers.Notification) *providers.Push {
	return &providers.Push{
		Notification: n,
		Device:       &providers.Device{AppID: "org.example", Pushkey: pushkey, Data: json.RawMessage(elementXData)},
		ID:           uuid.NewString(), Expires: time.Now().Add(time.Hour),
	}
}

func (b *bench) want(t *testing.T, p *providers.Push, kind providers.Kind, reason string) {
	t.Helper()
	messagetest.Want(t, b.Push(t.Context(), p), kind, reason)
}

// sent returns the only request that FCM got, and checks that it broke no rule.
func (b *bench) sent(t *testing.T) fcmtest.Request {
	t.Helper()
	requests := b.Requests()
	if len(requests) != 1 {
		t.Fatalf("FCM got %d requests", len(requests))
	}
	for _, v := range requests[0].Violations {
		t.Errorf("a rule is broken: %s", v)
	}
	return requests[0]
}
