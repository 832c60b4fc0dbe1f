package caddymodule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

// TestWhatTheSygnalAdapterWritesLoads does what `caddy validate` does with the adapter's golden files. The adapter's own tests leave out
// Caddy's modules, so they build quickly for fuzzing. It is not parallel: see config_test.go.
func TestWhatTheSygnalAdapterWritesLoads(t *testing.T) {
	paths, err := filepath.Glob("sygnal/testdata/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	configurations := make(map[string][]byte)
	for _, path := range paths {
		if configurations[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	t.Setenv("SYGNAL_TEST_PROXY", "http://proxy.example:8080")
	writeSygnalCredentials(t)
	for name, adapted := range configurations {
		t.Run(name, func(t *testing.T) {
			var config caddy.Config
			if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
				t.Fatal(err)
			}
			config.StorageRaw = fmt.Appendf(nil, `{"module":"file_system","root":%q}`, t.TempDir())
			if err := caddy.Validate(&config); err != nil {
				t.Error(err)
			}
		})
	}
}

// writeSygnalCredentials writes the files that the configurations refer to.
func writeSygnalCredentials(t *testing.T) {
	t.Helper()
	_, key := apnstest.NewKey(t)
	certificate, certificateKey := apnstest.NewAuthority(t).Certificate(t,
		[]string{"com.example.myapp"}, []string{"production"}, time.Now().Add(365*24*time.Hour))
	account, err := os.ReadFile(fcmtest.New(t, fcmtest.Options{}).ServiceAccount(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"AuthKey.p8":           key,
		"certificate.pem":      append(certificate, certificateKey...),
		"service-account.json": account,
		"vapid.pem":            key, // both are PKCS#8 of a P-256 key
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
