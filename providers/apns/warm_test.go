package apns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func (b *bench) warm(t *testing.T) {
	t.Helper()
	if err := b.Warm(t.Context()); err != nil {
		t.Errorf("Warm: %v", err)
	}
}

func TestTheFirstPushFindsTheConnectionAndTheTokenThere(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *apnstest.Options, _ *Provider) { o.OneUntilAuthenticated = true })
	before := time.Now()
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() { b.warm(t) })
	}
	group.Wait()
	b.await(t, "a connection", func() bool { return b.Connections() == 1 })
	if n := len(b.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	signer := b.credential.(*key).signer.Current()
	signed := signer.issued
	if signed.Before(before.Truncate(time.Second)) {
		t.Error("no provider token is there")
	}
	b.want(t, alert(), providers.KindDelivered, "delivered")
	b.warm(t)
	if b.Connections() != 1 || b.ProviderTokens() != 1 || !signer.issued.Equal(signed) || b.Refused() != 0 {
		t.Errorf("%d connections, %d tokens, %d streams refused", b.Connections(), b.ProviderTokens(), b.Refused())
	}
	b.last(t)
}

// APNs accepts one push before it has seen a valid provider token. Many pushes at once after a start must not fail because of that.
func TestAThousandFirstPushesFindOneConnectionThereAndLoseNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *apnstest.Options, _ *Provider) { o.OneUntilAuthenticated = true })
	b.warm(t)
	var group sync.WaitGroup
	for range 1000 {
		group.Go(func() { b.want(t, alert(), providers.KindDelivered, "delivered") })
	}
	group.Wait()
	if b.Connections() != 1 || b.ProviderTokens() != 1 || len(b.Pushes()) != 1000 || b.Refused() != 0 {
		t.Errorf("%d connections, %d tokens, %d pushes, %d streams refused", b.Connections(), b.ProviderTokens(), len(b.Pushes()), b.Refused())
	}
}

func TestAReloadFindsWhatThereIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.warm(t)
	next := &bench{Service: b.Service, Provider: live(t, &Provider{
		Options: b.Options, Topic: b.Topic, KeyFile: b.KeyFile, KeyID: b.KeyID, TeamID: b.TeamID,
	})}
	next.warm(t)
	next.want(t, alert(), providers.KindDelivered, "delivered")
	if b.Connections() != 1 || b.ProviderTokens() != 1 {
		t.Errorf("%d connections and %d tokens", b.Connections(), b.ProviderTokens())
	}
}

func TestWhatAPNsWouldNotTakeIsForTheFirstPushToFindOut(t *testing.T) {
	t.Parallel()
	_, other := apnstest.NewKey(t)
	b := newBench(t, func(_ *apnstest.Options, p *Provider) { p.KeyFile = writeFile(t, "key.p8", other) })
	b.warm(t)
	b.want(t, alert(), providers.KindMisconfigured, "invalid_provider_token")
	b.await(t, "a connection", func() bool { return b.Connections() == 1 })
}

func TestTheConnectionThatIsMadeAheadHasTheCertificate(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	files := certify(t, ca, []string{bundle}, []string{"production"}, time.Now().Add(time.Hour))
	b := newBench(t, func(o *apnstest.Options, p *Provider) {
		o.Keys, o.Authority = nil, ca
		*p = Provider{CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...))}
	})
	b.warm(t)
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if n := b.Connections(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
}

func TestARefusedCertificateIsForTheFirstPushToTell(t *testing.T) {
	t.Parallel()
	ca := providertest.NewCA(t)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Certificate(t, "127.0.0.1")},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(),
		MaxVersion: tls.VersionTLS12, // with TLS 1.3, the client has finished the handshake by then
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	files := certify(t, apnstest.NewAuthority(t), []string{bundle}, []string{"production"}, time.Now().Add(time.Hour))
	b := &bench{Provider: live(t, &Provider{
		Options:         network.Options{Endpoint: server.URL, TrustedCA: ca.File, Proxy: "none"},
		CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...)),
	})}
	if err := b.Warm(t.Context()); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("Warm: %v", err)
	}
	b.want(t, alert(), providers.KindMisconfigured, "certificate_refused")
}

func TestACredentialThatHasEndedConnectsToNothing(t *testing.T) {
	t.Parallel()
	ca := apnstest.NewAuthority(t)
	files := certify(t, ca, []string{bundle}, []string{"production"}, time.Now().Add(-time.Hour))
	b := newBench(t, func(o *apnstest.Options, p *Provider) {
		o.Keys, o.Authority = nil, ca
		*p = Provider{CertificateFile: writeFile(t, "push.pem", append(files.certificate, files.key...))}
	})
	if err := b.Warm(t.Context()); !errors.Is(err, errExpired) || b.Connections() != 0 {
		t.Errorf("got %v and %d connections", err, b.Connections())
	}
}

func TestGettingReadyEndsWithItsContextAndThePushGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.StallHandshakes(true)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- b.Warm(ctx) }()
	cancel()
	if err := <-result; err == nil || strings.Contains(err.Error(), b.URL) {
		t.Errorf("got %v", err)
	}
	b.StallHandshakes(false)
	b.want(t, alert(), providers.KindDelivered, "delivered")
}
