package providertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// CA is a certificate authority for a test.
type CA struct {
	// File is the path of the authority's certificate in PEM, for the option trusted_ca. It is removed when the test ends.
	File string

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes an authority.
func NewCA(t testing.TB) *CA {
	t.Helper()
	template := certificate("caddy-matrix-push test authority")
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &CA{File: file, certificate: parsed, key: key}
}

// Pool returns a pool with this authority only.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	return pool
}

// Certificate makes a certificate for the hosts, which are names or IP addresses. A client may use it, too.
func (ca *CA) Certificate(t testing.TB, hosts ...string) tls.Certificate {
	t.Helper()
	template := certificate("caddy-matrix-push test server")
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TLSServer is an HTTPS server on a port of 127.0.0.1.
type TLSServer struct {
	// Server has the URL. It is closed when the test ends.
	*httptest.Server
	// CA is the authority that made the server's certificate.
	CA *CA
	// CAFile is the path of the authority's certificate, for the option trusted_ca.
	CAFile string

	connections atomic.Int64
}

// NewTLSServer starts a server that speaks HTTP/2 and HTTP/1.1, with a new authority. Its certificate is for the hosts; without hosts,
// for 127.0.0.1 and localhost. The server is closed when the test ends.
func NewTLSServer(t testing.TB, handler http.Handler, hosts ...string) *TLSServer {
	t.Helper()
	return newTLSServer(t, NewCA(t), handler, true, hosts...)
}

func newTLSServer(t testing.TB, ca *CA, handler http.Handler, http2 bool, hosts ...string) *TLSServer {
	t.Helper()
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1", "localhost"}
	}
	s := &TLSServer{Server: httptest.NewUnstartedServer(handler), CA: ca, CAFile: ca.File}
	s.EnableHTTP2 = http2
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, hosts...)}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // tests break connections on purpose
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// Connections returns how many connections were made to the server.
func (s *TLSServer) Connections() int { return int(s.connections.Load()) }
