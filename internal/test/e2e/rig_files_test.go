package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// secretMark is a part of everything in a test that must not be shown.
const secretMark = "DoNotShowThis"

// pemOf returns a private key in the form that Apple and Google use.
func pemOf(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// until waits until a condition holds. The condition may push something each time, because the gateway checks a credential's file only for
// some pushes.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !condition() {
		select {
		case <-pace.C:
		case <-end.C:
			t.Fatalf("%s: not in %s", what, patience)
		}
	}
}

// writeSecret writes a file that nobody else can read.
func writeSecret(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	replaceFile(t, path, content)
	return path
}

// replaceFile replaces a file atomically, as a careful operator does.
func replaceFile(t *testing.T, path string, content []byte) {
	t.Helper()
	canaries.credentials(content)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
