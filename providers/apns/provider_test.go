package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// pkcs8 returns a private key as PEM.
func pkcs8(t *testing.T, key any, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// refuses fails the test unless the provider fails to load with an error that has all parts and shows no secret.
func refuses(t *testing.T, p *Provider, parts ...string) {
	t.Helper()
	err := p.Provision(messagetest.NewContext(t))
	if cleanup := p.Cleanup(); cleanup != nil {
		t.Errorf("Cleanup after that: %v", cleanup)
	}
	if err == nil {
		t.Fatal("it is accepted")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the reason %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "very-secret") {
		t.Errorf("the reason %q shows a secret", err)
	}
}

func TestAWrongOptionFailsTheLoad(t *testing.T) {
	t.Parallel()
	_, p8 := apnstest.NewKey(t)
	good := func() *Provider {
		return &Provider{Topic: bundle, KeyFile: writeFile(t, "key.p8", p8), KeyID: keyID, TeamID: teamID}
	}
	tests := []struct {
		name   string
		change func(*Provider)
		parts  []string
	}{
		{"an environment that there is not", func(p *Provider) { p.Environment = "prod" }, []string{"environment:", `"prod"`}},
		{"a push type that there is not", func(p *Provider) { p.PushType = "silent" }, []string{"push_type:", `"silent"`}},
		{"a collapse_id that there is not", func(p *Provider) { p.CollapseID = "yes" }, []string{"collapse_id:", `"yes"`}},
		{"a thread_id that there is not", func(p *Provider) { p.ThreadID = "event" }, []string{"thread_id:", `"event"`}},
		{"an endpoint without TLS", func(p *Provider) { p.Endpoint = "http://push.example" }, []string{"endpoint:"}},
		{"no topic", func(p *Provider) { p.Topic = "" }, []string{"topic is missing", "missing"}},
		{"a topic that is not a bundle ID", func(p *Provider) { p.Topic = "org.example.*" }, []string{"topic:", "bundle ID"}},
		{"a topic of one word", func(p *Provider) { p.Topic = "example" }, []string{"topic:", "bundle ID"}},
		{"a topic of another push type", func(p *Provider) { p.PushType = "voip" }, []string{"topic:", ".voip"}},
		{"a topic whose placeholder stands for nothing", func(p *Provider) { p.Topic = "{env.NOT_SET_IN_THIS_TEST}" }, []string{"topic:"}},
		{"neither key nor certificate", func(p *Provider) { p.KeyFile = "" }, []string{"key_file is missing"}},
		{"both key and certificate", func(p *Provider) { p.CertificateFile = "push.pem" }, []string{"certificate_file", "key_file"}},
		{"a certificate's key without a certificate", func(p *Provider) { p.CertificateKeyFile = "push.key" }, []string{"certificate_file is missing"}},
		{
			"a password and nothing that it opens",
			func(p *Provider) { p.KeyFile, p.CertificatePassword = "", "very-secret" },
			[]string{"certificate_file is missing", "certificate_password"},
		},
		{"no key ID", func(p *Provider) { p.KeyID = "" }, []string{"key_id is missing"}},
		{"a key ID that is too short", func(p *Provider) { p.KeyID = "ABC" }, []string{"key_id:", `"ABC"`}},
		{"no team ID", func(p *Provider) { p.TeamID = "" }, []string{"team_id is missing"}},
		{"a team ID in lower case", func(p *Provider) { p.TeamID = "team123456" }, []string{"team_id:"}},
		{"a key ID whose placeholder stands for nothing", func(p *Provider) { p.KeyID = "{env.NOT_SET_IN_THIS_TEST}" }, []string{"key_id:"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := good()
			test.change(p)
			refuses(t, p, test.parts...)
		})
	}
}

func TestAWrongKeyFailsTheLoad(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p384PEM := pkcs8(t, p384, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	rsaPEM := pkcs8(t, rsaKey, err)
	certificate, _ := apnstest.NewAuthority(t).Certificate(t, []string{bundle}, nil, time.Now().Add(time.Hour))
	tests := []struct {
		name    string
		content []byte
		part    string
	}{
		{"an empty file", nil, "not PEM"},
		{"a file that is not PEM", []byte("very-secret"), "not PEM"},
		{"a PEM block that is broken", []byte("-----BEGIN PRIVATE KEY-----\ndmVyeS1zZWNyZXQ=\n-----END PRIVATE KEY-----\n"), "readable"},
		{"a certificate", certificate, "readable"},
		{"an RSA key", rsaPEM, "P-256"},
		{"a key on another curve", p384PEM, "P-256"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, "key.p8", test.content)
			refuses(t, &Provider{Topic: bundle, KeyFile: path, KeyID: keyID, TeamID: teamID}, "key_file:", test.part)
		})
	}
	t.Run("no file", func(t *testing.T) {
		t.Parallel()
		refuses(t, &Provider{Topic: bundle, KeyFile: "/no/such/key.p8", KeyID: keyID, TeamID: teamID}, "key_file:", "/no/such/key.p8")
	})
}

// replace replaces a file's content as tools do.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestAReplacedKeyIsUsedWithoutAReloadAndABrokenOneIsNot(t *testing.T) {
	t.Parallel()
	next, p8 := apnstest.NewKey(t)
	b := newBench(t, func(o *apnstest.Options, _ *Provider) { o.AllowTokenUpdates = true })
	b.want(t, alert(), providers.KindDelivered, "delivered")
	credential := b.credential.(*key)

	replace(t, b.KeyFile, []byte("broken"))
	credential.signer.Reread()
	b.want(t, alert(), providers.KindDelivered, "delivered")

	replace(t, b.KeyFile, p8)
	credential.signer.Reread()
	b.want(t, alert(), providers.KindMisconfigured, "invalid_provider_token") // this APNs only knows the old key
	if credential.signer.Current().private.Equal(b.key) || !credential.signer.Current().private.Equal(next) {
		t.Error("the old key is still in use")
	}
}

func TestConnectionsAndTokenOutliveAReload(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.want(t, alert(), providers.KindDelivered, "delivered")
	next := &Provider{Options: b.Options, Topic: b.Topic, KeyFile: b.KeyFile, KeyID: b.KeyID, TeamID: b.TeamID}
	live(t, next)
	again := &bench{Service: b.Service, Provider: next}
	again.want(t, alert(), providers.KindDelivered, "delivered")
	if b.Connections() != 1 || b.ProviderTokens() != 1 {
		t.Errorf("%d connections and %d tokens", b.Connections(), b.ProviderTokens())
	}
}

func TestEveryOptionTakesPlaceholders(t *testing.T) {
	_, p8 := apnstest.NewKey(t)
	for name, value := range map[string]string{
		"APNS_TEST_TOPIC": bundle, "APNS_TEST_KEY": writeFile(t, "key.p8", p8), "APNS_TEST_KEY_ID": keyID, "APNS_TEST_TEAM_ID": teamID,
	} {
		t.Setenv(name, value)
	}
	p := live(t, &Provider{
		Topic: "{env.APNS_TEST_TOPIC}", KeyFile: "{env.APNS_TEST_KEY}", KeyID: "{env.APNS_TEST_KEY_ID}", TeamID: "{env.APNS_TEST_TEAM_ID}",
	})
	if p.topic != bundle || p.Topic != "{env.APNS_TEST_TOPIC}" {
		t.Errorf("the topic is %s, and the option has become %s", p.topic, p.Topic)
	}
}

func TestTheEnvironmentChoosesTheServer(t *testing.T) {
	t.Parallel()
	_, p8 := apnstest.NewKey(t)
	for environment, host := range map[string]string{
		"": "api.push.apple.com", "production": "api.push.apple.com", "sandbox": "api.sandbox.push.apple.com",
	} {
		p := live(t, &Provider{Environment: environment, Topic: bundle, KeyFile: writeFile(t, "key.p8", p8), KeyID: keyID, TeamID: teamID})
		if p.server.Host != host {
			t.Errorf("%q is %s", environment, p.server.Host)
		}
	}
}
