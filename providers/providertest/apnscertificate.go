package providertest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// What Apple puts into a client certificate, Apple's Certification Practice Statement for Worldwide Developer Relations:
// https://www.apple.com/certificateauthority/
var (
	apnsUID    = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	apnsTopics = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6}
	// The environments that the certificate is for: one extension each.
	apnsEnvironments = map[string]asn1.ObjectIdentifier{
		"sandbox":    {1, 2, 840, 113635, 100, 6, 3, 1},
		"production": {1, 2, 840, 113635, 100, 6, 3, 2},
	}
)

// NewAPNsKey makes a key for provider tokens, and the .p8 file that Apple gives for download: PEM of PKCS#8.
func NewAPNsKey(t testing.TB) (key *ecdsa.PrivateKey, p8 []byte) {
	t.Helper()
	key = newKey(t)
	return key, apnsPEM(t, key)
}

// APNsCertificate makes a client certificate as Apple makes them, and its key, both as PEM. The first topic is the bundle id that
// the subject's UID is; the environments are of "production" and "sandbox". It is valid for the year before notAfter.
func (ca *CA) APNsCertificate(t testing.TB, topics, environments []string, notAfter time.Time) (certPEM, keyPEM []byte) {
	t.Helper()
	template := certificate("Apple Push Services: " + topics[0])
	template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: apnsUID, Value: topics[0]}}
	template.NotBefore, template.NotAfter = notAfter.AddDate(-1, 0, 0), notAfter
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, environment := range environments {
		id, ok := apnsEnvironments[environment]
		if !ok {
			t.Fatalf("there is no environment %q", environment)
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: id, Value: asn1.NullBytes})
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: apnsTopics, Value: apnsTopicList(t, topics)})
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), apnsPEM(t, key)
}

func apnsPEM(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// apnsTopicList is the extension's value: a sequence in which each topic, a UTF8String, is followed by a sequence of its kinds.
func apnsTopicList(t testing.TB, topics []string) []byte {
	t.Helper()
	var list []asn1.RawValue
	for _, topic := range topics {
		kind := "app"
		if suffix, ok := strings.CutPrefix(topic, topics[0]+"."); ok {
			kind = suffix
		}
		list = append(list,
			asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(topic)},
			asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: apnsDER(t, asn1.RawValue{
				Tag: asn1.TagUTF8String, Bytes: []byte(kind),
			})},
		)
	}
	return apnsDER(t, list)
}

func apnsDER(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// apnsClient is who a client certificate says that the client is.
type apnsClient struct {
	topics []string
	fault  apnsFault
}

// readCertificate judges a client certificate.
func (a *APNs) readCertificate(leaf *x509.Certificate) *apnsClient {
	topics, err := apnsCertificateTopics(leaf)
	now := a.options.Now()
	client := &apnsClient{topics: topics}
	switch authority := a.options.CertificateAuthority; {
	case authority == nil || leaf.CheckSignatureFrom(authority.certificate) != nil:
		client.fault = apnsFaultf("BadCertificate", "the client certificate is of an unknown authority")
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		client.fault = apnsFaultf("BadCertificate", "the client certificate is not valid at this time")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		client.fault = apnsFaultf("BadCertificate", "the certificate is none for clients")
	case err != nil:
		client.fault = apnsFaultf("BadCertificate", "the client certificate is none of Apple's kind: %s", err)
	case !apnsHasExtension(leaf, apnsEnvironments[a.options.Environment]):
		client.fault = apnsFaultf("BadCertificateEnvironment", "the client certificate is not for %s", a.options.Environment)
	}
	return client
}

func apnsHasExtension(leaf *x509.Certificate, id asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

// apnsCertificateTopics are the topics that a certificate lists, or else the bundle id that it is for.
func apnsCertificateTopics(leaf *x509.Certificate) (topics []string, err error) {
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(apnsTopics) {
			continue
		}
		var list []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &list); err != nil || len(rest) > 0 {
			return nil, errors.New("its list of topics is not readable")
		}
		for _, element := range list {
			if element.Tag == asn1.TagUTF8String {
				topics = append(topics, string(element.Bytes))
			}
		}
		return topics, nil
	}
	for _, name := range leaf.Subject.Names {
		if uid, ok := name.Value.(string); ok && name.Type.Equal(apnsUID) {
			return []string{uid}, nil
		}
	}
	return nil, errors.New("it has neither a list of topics nor a UID")
}
