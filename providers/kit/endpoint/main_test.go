package endpoint

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"go.uber.org/goleak"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// proxyOfEnvironment is the value of HTTPS_PROXY in these tests. net/http reads the variable once in a process.
const proxyOfEnvironment = "http://proxy.invalid:3128"

func TestMain(m *testing.M) {
	for _, name := range []string{"NO_PROXY", "no_proxy", "https_proxy"} {
		_ = os.Unsetenv(name)
	}
	_ = os.Setenv("HTTPS_PROXY", proxyOfEnvironment)
	goleak.VerifyTestMain(m)
}

// provisioning serializes Provision. In Caddy, it is not concurrent either, since it sets certmagic's default storage.
var provisioning sync.Mutex

// newContext returns the context of a configuration with a storage and these apps.
func newContext(t *testing.T, apps caddy.ModuleMap) caddy.Context {
	t.Helper()
	storage, err := json.Marshal(map[string]string{"module": "file_system", "root": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	provisioning.Lock()
	defer provisioning.Unlock()
	ctx, err := caddy.ProvisionContext(&caddy.Config{StorageRaw: storage, AppsRaw: apps})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// newClient makes a client that ignores the environment's proxy unless the options set one. The test closes it.
func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Proxy == "" {
		o.Proxy = "none"
	}
	c, err := NewClient(newContext(t, nil), &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// post makes one request and classifies the answer as a provider does.
func post(ctx context.Context, t *testing.T, c *Client, raw string, site providers.Site) providers.Outcome {
	t.Helper()
	endpoint, err := Parse(raw)
	if err != nil {
		return providers.Unusable("bad_endpoint", err)
	}
	resp, err := c.Post(ctx, endpoint, site, http.Header{}, []byte("{}"))
	if err != nil {
		return Failed(err)
	}
	return Outcome(resp, noon)
}

// want fails the test if the outcome is different.
func want(t *testing.T, o providers.Outcome, kind providers.Kind, reason string) {
	t.Helper()
	if o.Kind != kind || o.Reason != reason {
		t.Errorf("the outcome is %s (%s, %v), want %s (%s)", o.Kind, o.Reason, o.Err, kind, reason)
	}
}

// created is a push server that accepts everything.
var created = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })

func portOfServer(t *testing.T, s *providertest.TLSServer) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// at puts the server's port into an endpoint.
func at(t *testing.T, s *providertest.TLSServer, endpoint string) string {
	t.Helper()
	return strings.ReplaceAll(endpoint, "PORT", portOfServer(t, s))
}
