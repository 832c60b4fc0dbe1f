package redistest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Secure is a server that accepts only connections with TLS, and wants a client certificate.
type Secure struct {
	*Server
	// CA is the path of the authority's certificate. Certificate and Key are those of a client certificate that the server accepts.
	CA, Certificate, Key string
}

// StartTLS starts a server whose certificate is for 127.0.0.1.
func StartTLS(t testing.TB, options ...string) *Secure {
	t.Helper()
	ca := providertest.NewCA(t)
	s := &Secure{CA: ca.File}
	certificate, key := writeCertificate(t, ca.Certificate(t, "127.0.0.1"))
	s.Certificate, s.Key = writeCertificate(t, ca.Certificate(t, "gateway.example.org"))
	s.Server = onPort(t, Debian.path(t), func(port int) []string {
		return append([]string{
			"--bind", "127.0.0.1", "--tls-port", fmt.Sprint(port), "--tls-cert-file", certificate, "--tls-key-file", key,
			"--tls-ca-cert-file", ca.File, "--tls-auth-clients", "yes",
		}, options...)
	})
	return s
}

// writeCertificate writes a certificate and its key to two files.
func writeCertificate(t testing.TB, c tls.Certificate) (certificate, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}
