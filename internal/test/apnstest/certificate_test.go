package apnstest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

var (
	bothEnvironments = []string{"production", "sandbox"}
	nextYear         = noon.AddDate(0, 6, 0)
)

// withCertificate returns the fixture with a client that shows the certificate, and no provider token.
func withCertificate(t *testing.T, known *apnstest.Authority, certificate, key []byte) fixture {
	t.Helper()
	f := newFixture(t, func(o *apnstest.Options) { o.Authority = known })
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	f.client = client(t, f.Service, pair)
	f.bearer = ""
	return f
}

func TestAPNsTakesAClientCertificateInPlaceOfAProviderToken(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	certificate, key := ca.Certificate(t, []string{bundle, bundle + ".voip"}, bothEnvironments, nextYear)
	f := withCertificate(t, ca, certificate, key)
	f.expect(t, f.request(t), http.StatusOK, "")
	f.expect(t, f.typed(t, "voip", `{"aps":{}}`), http.StatusOK, "")
	f.advance(time.Second)
	expectRefusal(t, f, f.typed(t, "complication", `{"aps":{}}`), 400, "TopicDisallowed", "certificate's")
	r := f.request(t)
	r.Header.Del("Apns-Topic")
	expectRefusal(t, f, r, 400, "MissingTopic", "no apns-topic")
}

func TestAPNsWantsAProviderTokenForLocationAndLiveActivity(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	topics := []string{bundle, bundle + ".location-query", bundle + ".push-type.liveactivity"}
	certificate, key := ca.Certificate(t, topics, bothEnvironments, nextYear)
	f := withCertificate(t, ca, certificate, key)
	expectRefusal(t, f, f.typed(t, "location", `{"aps":{}}`), 403, "MissingProviderToken", "with a certificate")
	update := `{"aps":{"timestamp":1,"event":"update","content-state":{}}}`
	expectRefusal(t, f, f.typed(t, "liveactivity", update), 403, "MissingProviderToken", "with a certificate")
}

func TestAPNsKnowsTheTopicOfACertificateWithOne(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	certificate, key := ca.Certificate(t, []string{bundle}, bothEnvironments, nextYear)
	f := withCertificate(t, ca, certificate, key)
	r := f.request(t)
	r.Header.Del("Apns-Topic")
	f.expect(t, r, http.StatusOK, "")
	if topic := f.Pushes()[0].Topic; topic != bundle {
		t.Errorf("the topic is %q", topic)
	}
}

func TestAPNsCatchesEveryBrokenRuleOfACertificate(t *testing.T) {
	t.Parallel()
	ca, stranger := apnstest.NewAuthority(t), apnstest.NewAuthority(t)
	tests := []struct {
		name              string
		known, signer     *apnstest.Authority
		environments      []string
		notAfter          time.Time
		reason, violation string
	}{
		{"an unknown authority", ca, stranger, bothEnvironments, nextYear, "BadCertificate", "authority"},
		{"no authority", nil, ca, bothEnvironments, nextYear, "BadCertificate", "authority"},
		{"one that is over", ca, ca, bothEnvironments, noon.Add(-time.Second), "BadCertificate", "time"},
		{"one for later", ca, ca, bothEnvironments, noon.AddDate(2, 0, 0), "BadCertificate", "time"},
		{"one for the sandbox", ca, ca, []string{"sandbox"}, nextYear, "BadCertificateEnvironment", "production"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			certificate, key := test.signer.Certificate(t, []string{bundle}, test.environments, test.notAfter)
			f := withCertificate(t, test.known, certificate, key)
			expectRefusal(t, f, f.request(t), http.StatusForbidden, test.reason, test.violation)
		})
	}
}

func TestAPNsCertificatesAreAsApplesAre(t *testing.T) {
	t.Parallel()
	text, _ := apnstest.NewAuthority(t).Certificate(t, []string{bundle, bundle + ".voip"}, bothEnvironments, nextYear)
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	subject := map[string]any{}
	for _, name := range leaf.Subject.Names {
		subject[name.Type.String()] = name.Value
	}
	if subject["0.9.2342.19200300.100.1.1"] != bundle || leaf.Subject.CommonName != "Apple Push Services: "+bundle {
		t.Errorf("the subject is %v", subject)
	}
	extensions := map[string]string{}
	for _, extension := range leaf.Extensions {
		extensions[extension.Id.String()] = string(extension.Value)
	}
	topics := "\x30\x36\x0c\x0fcom.example.app\x30\x05\x0c\x03app\x0c\x14com.example.app.voip\x30\x06\x0c\x04voip"
	for id, value := range map[string]string{
		"1.2.840.113635.100.6.3.1": "\x05\x00", "1.2.840.113635.100.6.3.2": "\x05\x00", "1.2.840.113635.100.6.3.6": topics,
	} {
		if extensions[id] != value {
			t.Errorf("the extension %s is %x, want %x", id, extensions[id], value)
		}
	}
	if !leaf.NotAfter.Equal(nextYear) {
		t.Errorf("it ends on %s", leaf.NotAfter)
	}
}
