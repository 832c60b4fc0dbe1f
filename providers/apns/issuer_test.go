package apns

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// selfSigned returns a certificate that Apple did not issue, and its key, in one file. The UID is empty for none.
func selfSigned(t *testing.T, uid string, purposes ...x509.ExtKeyUsage) (file string) {
	t.Helper()
	key, p8 := apnstest.NewKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: purposes,
		Subject: pkix.Name{CommonName: "push.example.org"}, DNSNames: []string{"push.example.org"},
	}
	if uid != "" {
		template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: userID, Value: uid}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "push.pem", append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), p8...))
}

func TestACertificateThatIsNotApplesForPushIsRefusedForThat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, want string }{
		{"a TLS server's", selfSigned(t, "", x509.ExtKeyUsageServerAuth), "not Apple's for push, but a TLS server's"},
		{"a TLS server's and client's", selfSigned(t, "", x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), "not Apple's for push, but a TLS server's"},
		{"a client's", selfSigned(t, "", x509.ExtKeyUsageClientAuth), "not Apple's for push: get one"},
		{"one without a purpose", selfSigned(t, ""), "not Apple's for push: get one"},
		{"Apple's for signing code", selfSigned(t, "TEAM123456", x509.ExtKeyUsageCodeSigning), "not Apple's for push, but one for signing code"},
	} {
		for name, p := range map[string]*Provider{
			"": {CertificateFile: tt.file}, ", with a topic": {CertificateFile: tt.file, Topic: bundle},
		} {
			t.Run(tt.name+name, func(t *testing.T) {
				t.Parallel()
				refuses(t, p, "certificate_file: the certificate is ", tt.want, "developer.apple.com")
			})
		}
	}
}

func TestAnotherServerMayWantAnotherCertificate(t *testing.T) {
	t.Parallel()
	p := &Provider{CertificateFile: selfSigned(t, "", x509.ExtKeyUsageClientAuth), Topic: bundle}
	p.Endpoint = "https://relay.example.org"
	accepts(t, p)
	// openssl writes such a certificate for a trial; it has Apple's bundle ID.
	accepts(t, &Provider{CertificateFile: selfSigned(t, bundle)})
}

func TestAReplacementThatIsNotApplesIsNotUsed(t *testing.T) {
	t.Parallel()
	files := certify(t, apnstest.NewAuthority(t), []string{bundle}, []string{"production"}, time.Now().Add(time.Hour))
	p := &Provider{CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...))}
	accepts(t, p)
	before := p.credential.identity()
	other, err := os.ReadFile(selfSigned(t, "", x509.ExtKeyUsageServerAuth))
	if err != nil {
		t.Fatal(err)
	}
	replace(t, p.CertificateFile, other)
	p.credential.(*clientCertificate).file.Reread()
	if p.credential.identity() != before {
		t.Error("it is used")
	}
}

// accepts fails the test unless the provider can be provisioned.
func accepts(t *testing.T, p *Provider) {
	t.Helper()
	if err := p.Provision(messagetest.NewContext(t)); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		if err := p.Cleanup(); err != nil {
			t.Error(err)
		}
	})
}
