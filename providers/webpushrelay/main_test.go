package webpushrelay

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/vapid"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// newProvider returns a live provider with some options.
func newProvider(t *testing.T, o endpoint.Options, hosts ...string) *Provider {
	t.Helper()
	p := &Provider{Options: o, Hosts: hosts}
	t.Cleanup(func() {
		if err := p.Cleanup(); err != nil {
			t.Errorf("Cleanup: %v", err)
		}
	})
	if err := p.Provision(messagetest.NewContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// bench is a push service, a provider that reaches it, and a sender's key.
type bench struct {
	*providertest.PushService
	provider *Provider
	sender   *vapid.Signer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	service := providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true})
	server := providertest.NewTLSServer(t, service)
	service.SetOrigin(server.URL)
	t.Cleanup(service.Close)
	key, err := vapid.Generate()
	if err != nil {
		t.Fatal(err)
	}
	sender, err := vapid.NewSigner(key, "mailto:admin@example.net")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{service, newProvider(t, messagetest.Options(server.CAFile), "127.0.0.1"), sender}
}

// message returns a message for a subscription, as an XMPP server writes it.
func (b *bench) message(t *testing.T, sub providertest.Subscription, text string) message {
	t.Helper()
	keys, err := ece.ParseKeys(sub.P256dh, sub.Auth)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := ece.Encrypt([]byte(text), keys)
	if err != nil {
		t.Fatal(err)
	}
	authorization, err := b.sender.Authorization(b.Origin(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	jwt, key, _ := strings.Cut(strings.TrimPrefix(authorization, "vapid t="), ", k=")
	return message{base64.StdEncoding.EncodeToString(payload), jwt, padded(t, key)}
}

// padded returns a key in standard base64, as mod_push2 sends it.
func padded(t *testing.T, key string) string {
	t.Helper()
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(point)
}

// push returns a push of a message to an endpoint.
func push(t testing.TB, endpoint string, m message) *providers.Push {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return messagetest.PushOf(new(providers.Notification), providers.Device{Pushkey: endpoint, Data: data})
}

// unsigned returns a token with claims. Only a push server would find that its signature is wrong.
func unsigned(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, 64))
}

// aud returns claims for an audience that expire after d.
func aud(audience string, d time.Duration) string {
	return fmt.Sprintf(`{"aud":%q,"exp":%d,"sub":"xmpp:example.net"}`, audience, time.Now().Add(d).Unix())
}

// anyKey is a key in its form.
var anyKey = base64.StdEncoding.EncodeToString(append([]byte{4}, make([]byte, 64)...))
