package apns

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"testing"
	"time"

	"go.step.sm/crypto/pemutil"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// certified are the files of a certificate like Apple's.
type certified struct{ certificate, key []byte }

func certify(t *testing.T, ca *apnstest.Authority, topics, environments []string, notAfter time.Time) certified {
	t.Helper()
	certificate, key := ca.Certificate(t, topics, environments, notAfter)
	return certified{certificate, key}
}

func TestAWrongCertificateFailsTheLoad(t *testing.T) {
	t.Parallel()
	ca, soon := apnstest.NewAuthority(t), time.Now().Add(time.Hour)
	good := certify(t, ca, []string{bundle}, []string{"production"}, soon)
	other := certify(t, ca, []string{bundle}, []string{"production"}, soon)
	development := certify(t, ca, []string{bundle}, []string{"sandbox"}, soon)
	p12, err := pkcs12.Modern.Encode(parsed(t, good).PrivateKey, parsed(t, good).Leaf, nil, "very-secret")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		provider Provider
		parts    []string
	}{
		{"no file", Provider{CertificateFile: "/no/such/push.pem"}, []string{"certificate_file:", "/no/such/push.pem"}},
		{"a file of nothing known", Provider{CertificateFile: writeFile(t, "f", []byte("very-secret"))}, []string{"certificate_file:", "PKCS#12"}},
		{"no key", Provider{CertificateFile: writeFile(t, "f", good.certificate)}, []string{"certificate_file:", "no private key"}},
		{"no certificate", Provider{CertificateFile: writeFile(t, "f", good.key)}, []string{"certificate_file:", "no certificate"}},
		{
			"the key of another",
			Provider{CertificateFile: writeFile(t, "f", good.certificate), CertificateKeyFile: writeFile(t, "k", other.key)},
			[]string{"certificate_file:", "does not belong to the certificate"},
		},
		{"a wrong password", Provider{CertificateFile: writeFile(t, "f", p12), CertificatePassword: "wrong"}, []string{"certificate_file:", "certificate_password"}},
		{"no password", Provider{CertificateFile: writeFile(t, "f", p12)}, []string{"certificate_file:", "certificate_password"}},
		{
			"the other environment",
			Provider{CertificateFile: writeFile(t, "f", development.certificate), CertificateKeyFile: writeFile(t, "k", development.key)},
			[]string{"certificate_file:", "production environment"},
		},
		{
			"another topic",
			Provider{
				Topic: "org.example.other", CertificateFile: writeFile(t, "f", good.certificate), CertificateKeyFile: writeFile(t, "k", good.key),
			},
			[]string{"topic:", "org.example.other", bundle},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			refuses(t, &test.provider, test.parts...)
		})
	}
}

func parsed(t *testing.T, c certified) *tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(c.certificate, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}

func TestACertificateInEachFormDelivers(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	files := certify(t, ca, []string{bundle, bundle + ".voip"}, []string{"production", "sandbox"}, time.Now().Add(time.Hour))
	cert := parsed(t, files)
	encode := func(e *pkcs12.Encoder) []byte {
		data, err := e.Encode(cert.PrivateKey, cert.Leaf, nil, "very-secret")
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := pemutil.EncryptPKCS8PrivateKey(rand.Reader, der, []byte("very-secret"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := writeFile(t, "push.key", pem.EncodeToMemory(block))
	pemFile := writeFile(t, "push.pem", files.certificate)
	refuses(t, &Provider{CertificateFile: pemFile, CertificateKeyFile: encrypted}, "certificate_file:", "certificate_password")
	refuses(t, &Provider{CertificateFile: pemFile, CertificateKeyFile: encrypted, CertificatePassword: "wrong"}, "certificate_file:", "certificate_password")
	tests := map[string]Provider{
		"PEM, and its key encrypted":  {CertificateFile: pemFile, CertificateKeyFile: encrypted, CertificatePassword: "very-secret"},
		"PEM with its key":            {CertificateFile: writeFile(t, "push.pem", bytes.Join([][]byte{files.certificate, files.key}, nil))},
		"PEM, and the key in its own": {CertificateFile: writeFile(t, "push.pem", files.certificate), CertificateKeyFile: writeFile(t, "push.key", files.key)},
		"PKCS#12 of the Keychain's":   {CertificateFile: writeFile(t, "push.p12", encode(pkcs12.Legacy)), CertificatePassword: "very-secret"},
		"PKCS#12 of OpenSSL 3":        {CertificateFile: writeFile(t, "push.p12", encode(pkcs12.Modern)), CertificatePassword: "very-secret"},
	}
	for name, options := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *apnstest.Options, p *Provider) {
				o.Keys, o.Authority = nil, ca
				*p = options
			})
			b.want(t, alert(), providers.KindDelivered, "delivered")
			if got := b.last(t); got.Topic != bundle || b.ProviderTokens() != 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// With one wrong password in about 256, the padding is valid by chance: decryption gives noise and no error. Here, noise was encrypted.
func TestAWrongPasswordThatDecryptsToNoiseIsNamed(t *testing.T) {
	t.Parallel()
	files := certify(t, apnstest.NewAuthority(t), []string{bundle}, []string{"production"}, time.Now().Add(time.Hour))
	encrypt := func(f func(io.Reader, []byte) (*pem.Block, error)) string {
		block, err := f(rand.Reader, []byte("what a wrong password makes of a key"))
		if err != nil {
			t.Fatal(err)
		}
		return writeFile(t, "push.key", pem.EncodeToMemory(block))
	}
	for name, file := range map[string]string{
		"PKCS#8": encrypt(func(r io.Reader, noise []byte) (*pem.Block, error) {
			return pemutil.EncryptPKCS8PrivateKey(r, noise, []byte("wrong"), x509.PEMCipherAES256)
		}),
		"DEK-Info": encrypt(func(r io.Reader, noise []byte) (*pem.Block, error) {
			//nolint:staticcheck // People still have such keys, so they must be read.
			return x509.EncryptPEMBlock(r, "RSA PRIVATE KEY", noise, []byte("wrong"), x509.PEMCipherAES256)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, &Provider{
				CertificateFile: writeFile(t, "push.pem", files.certificate), CertificateKeyFile: file, CertificatePassword: "wrong",
			}, "certificate_file:", "certificate_password")
		})
	}
}

func TestAnExpiredCertificateIsKnownAndSentNowhere(t *testing.T) {
	t.Parallel()
	ca, ended := apnstest.NewAuthority(t), time.Now().Add(-time.Hour).Truncate(time.Second)
	files := certify(t, ca, []string{bundle}, []string{"production"}, ended)
	b := newBench(t, func(o *apnstest.Options, p *Provider) {
		o.Keys, o.Authority = nil, ca
		*p = Provider{CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...))}
	})
	if got := b.CredentialExpiry(); !got.Equal(ended) {
		t.Errorf("the expiry is %s, want %s", got, ended)
	}
	b.want(t, alert(), providers.KindMisconfigured, "credential")
	if b.Connections() != 0 {
		t.Error("APNs was asked")
	}
}

func TestAReplacedCertificateIsUsedForNewConnections(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	first := certify(t, ca, []string{bundle}, []string{"production"}, time.Now().Add(time.Hour))
	second := certify(t, ca, []string{bundle}, []string{"production"}, time.Now().Add(2*time.Hour))
	b := newBench(t, func(o *apnstest.Options, p *Provider) {
		o.Keys, o.Authority = nil, ca
		*p = Provider{CertificateFile: writeFile(t, "push.pem", append(first.certificate, first.key...))}
	})
	b.want(t, alert(), providers.KindDelivered, "delivered")
	expiry := b.CredentialExpiry()
	replace(t, b.CertificateFile, append(second.certificate, second.key...))
	b.credential.(*clientCertificate).file.Reread()
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if n := b.Connections(); n != 2 || b.CredentialExpiry().Equal(expiry) {
		t.Errorf("%d connections were made, the expiry is %s", n, b.CredentialExpiry())
	}
}

func TestAReplacementThatWouldDoWorseIsNotUsed(t *testing.T) {
	t.Parallel()
	ca, later := apnstest.NewAuthority(t), time.Now().Add(time.Hour)
	for name, next := range map[string]certified{
		"one of another app":       certify(t, ca, []string{"org.example.other"}, []string{"production"}, later),
		"one that has expired":     certify(t, ca, []string{bundle}, []string{"production"}, time.Now().Add(-time.Hour)),
		"one for the sandbox":      certify(t, ca, []string{bundle}, []string{"sandbox"}, later),
		"one that is not readable": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := certify(t, ca, []string{bundle}, []string{"production"}, later)
			b := newBench(t, func(o *apnstest.Options, p *Provider) {
				o.Keys, o.Authority = nil, ca
				*p = Provider{CertificateFile: writeFile(t, "push.pem", append(first.certificate, first.key...))}
			})
			expiry := b.CredentialExpiry()
			replace(t, b.CertificateFile, append(next.certificate, next.key...))
			b.credential.(*clientCertificate).file.Reread()
			b.want(t, alert(), providers.KindDelivered, "delivered")
			if !b.CredentialExpiry().Equal(expiry) {
				t.Errorf("the certificate in use ends at %s", b.CredentialExpiry())
			}
		})
	}
}

func TestACertificateThatAPNsRefusesIsTheOperators(t *testing.T) {
	t.Parallel()
	files := certify(t, apnstest.NewAuthority(t), []string{bundle}, []string{"production"}, time.Now().Add(time.Hour))
	b := newBench(t, func(o *apnstest.Options, p *Provider) {
		o.Keys, o.Authority = nil, apnstest.NewAuthority(t)
		*p = Provider{CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...))}
	})
	if o := b.Push(t.Context(), alert()); o.Kind != providers.KindMisconfigured {
		t.Errorf("got %+v", o)
	}
}
