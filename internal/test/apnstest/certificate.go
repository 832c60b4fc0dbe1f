package apnstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// The extensions of Apple's client certificates, by Apple's Certification Practice Statement for Worldwide Developer Relations:
// https://www.apple.com/certificateauthority/
var (
	uidAttribute    = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	topicsExtension = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6}
	// The environments that the certificate is for: one extension each.
	environmentExtensions = map[string]asn1.ObjectIdentifier{
		"sandbox":    {1, 2, 840, 113635, 100, 6, 3, 1},
		"production": {1, 2, 840, 113635, 100, 6, 3, 2},
	}
)

// NewKey makes a key for provider tokens, and the .p8 file that Apple gives for download: PEM of PKCS#8.
func NewKey(t testing.TB) (key *ecdsa.PrivateKey, p8 []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, encodeKey(t, key)
}

// Authority makes client certificates, as Apple does.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	key, _ := NewKey(t)
	template := certificateTemplate("caddy-matrix-push test authority for clients")
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	root := &Authority{certificate: template, key: key}
	certificate, err := x509.ParseCertificate(root.sign(t, template, key))
	if err != nil {
		t.Fatal(err)
	}
	root.certificate = certificate
	return root
}

// Certificate makes a client certificate like Apple's, and its key, both as PEM. The first topic is the bundle id, which is also the
// subject's UID. The environments are "production", "sandbox" or both. The certificate is valid for the year before notAfter.
func (a *Authority) Certificate(t testing.TB, topics, environments []string, notAfter time.Time) (certPEM, keyPEM []byte) {
	t.Helper()
	template := certificateTemplate("Apple Push Services: " + topics[0])
	template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: uidAttribute, Value: topics[0]}}
	template.NotBefore, template.NotAfter = notAfter.AddDate(-1, 0, 0), notAfter
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, environment := range environments {
		id, ok := environmentExtensions[environment]
		if !ok {
			t.Fatalf("there is no environment %q", environment)
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: id, Value: asn1.NullBytes})
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: topicsExtension, Value: topicList(t, topics)})
	key, keyPEM := NewKey(t)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.sign(t, template, key)}), keyPEM
}

func certificateTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		BasicConstraintsValid: true,
	}
}

// sign makes a certificate for a key.
func (a *Authority) sign(t testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func encodeKey(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// topicList returns the extension's value: a sequence in which each topic, a UTF8String, is followed by a sequence of its kinds.
func topicList(t testing.TB, topics []string) []byte {
	t.Helper()
	var list []asn1.RawValue
	for _, topic := range topics {
		kind := "app"
		if suffix, ok := strings.CutPrefix(topic, topics[0]+"."); ok {
			kind = suffix
		}
		list = append(list,
			asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(topic)},
			asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: encode(t, asn1.RawValue{
				Tag: asn1.TagUTF8String, Bytes: []byte(kind),
			})},
		)
	}
	return encode(t, list)
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
