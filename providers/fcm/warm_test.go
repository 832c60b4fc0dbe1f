package fcm

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func (b *bench) warm(t *testing.T) {
	t.Helper()
	if err := b.Warm(t.Context()); err != nil {
		t.Errorf("Warm: %v", err)
	}
}

// wantMade checks the number of connections, including the one for access tokens, and of token requests.
func (b *bench) wantMade(t *testing.T, connections, tokens int) {
	t.Helper()
	if c, n := b.Connections(), b.TokenRequests(); c != connections || n != tokens {
		t.Errorf("%d connections were made and %d tokens asked for, want %d and %d", c, n, connections, tokens)
	}
}

func TestTheFirstPushFindsTheConnectionAndTheTokenThere(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	other := b.beside(t, nil) // an app of the same credentials
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() { b.warm(t) })
		group.Go(func() { other.warm(t) })
	}
	group.Wait()
	b.wantMade(t, 2, 1)
	if n := len(b.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	b.want(t, alert(), providers.KindDelivered, "delivered")
	b.sent(t)
	other.want(t, alert(), providers.KindDelivered, "delivered")
	b.warm(t)
	b.wantMade(t, 2, 1)
	if n := b.Concurrency(); n < 800 { // eight connections of a server written in Go
		t.Errorf("the provider knows of %d pushes at the same time", n)
	}
}

func TestAReloadFindsWhatThereIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.warm(t)
	next := b.beside(t, nil)
	next.warm(t)
	next.want(t, alert(), providers.KindDelivered, "delivered")
	b.wantMade(t, 2, 1)
}

func TestWhatFCMWouldNotTakeIsForTheFirstPushToFindOut(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.warm(t)
	b.Expire() // nobody knows yet
	b.want(t, alert(), providers.KindDelivered, "delivered")
	if got := b.bearers(); len(got) != 2 || got[0] == got[1] {
		t.Errorf("%d requests were made", len(got))
	}
	b.wantMade(t, 2, 2)
}

func TestWhatFailedAheadIsForTheFirstPushToTell(t *testing.T) {
	t.Parallel()
	const secret = "very-secret"
	tests := []struct {
		name   string
		change func(*bench)
		say    string
		kind   providers.Kind
		reason string
	}{
		{
			"the key was revoked", func(b *bench) { b.Forget(b.CredentialsFile) },
			"the token endpoint refuses the credentials", providers.KindMisconfigured, "credentials_refused",
		},
		{
			"Google does not like the key, and says more than it should", func(b *bench) {
				b.AnswerToken(providertest.Answer{Status: 400, Body: `{"error":"invalid_grant","error_description":"` + secret + `"}`})
			},
			"the token endpoint refuses the credentials", providers.KindMisconfigured, "credentials_refused",
		},
		{
			"Google is out of order", func(b *bench) { b.AnswerToken(providertest.Answer{Status: http.StatusServiceUnavailable}) },
			"the token endpoint fails", providers.KindRetry, "token_unavailable",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			test.change(b)
			err := b.Warm(t.Context())
			if err == nil || err.Error() != "getting an access token: "+test.say {
				t.Errorf("Warm: %v", err)
			}
			b.want(t, alert(), test.kind, test.reason)
			b.wantMade(t, 2, 1) // FCM itself is ready, and the failed endpoint is not asked again for a moment
		})
	}
}

func TestAnFCMThatCannotBeReachedKeepsNoTokenFromBeingThere(t *testing.T) {
	t.Parallel()
	gone := providertest.NewTLSServer(t, http.NotFoundHandler())
	gone.Close()
	b := newBench(t, func(_ *fcmtest.Service, p *Provider) { p.Endpoint = gone.URL })
	err := b.Warm(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "connecting to FCM: ") || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("Warm: %v", err)
	}
	b.wantMade(t, 1, 1)
	b.want(t, alert(), providers.KindRetry, "network")
	b.wantMade(t, 1, 1)
}

func TestGettingReadyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.AnswerToken(providertest.Answer{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	// On a machine that is busy, it may not even have connected by then.
	if err := b.Warm(ctx); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("Warm: %v", err)
	}
}

// A fetch in progress serves the next caller: it does not end with the configuration that started it.
func TestWhatWasBegunAheadIsNotBegunAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Warm(ctx); err == nil {
		t.Error("it goes on though nobody waits for it")
	}
	b.want(t, alert(), providers.KindDelivered, "delivered")
	b.wantMade(t, 2, 1)
}

func TestNothingGoesAroundTheProxy(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	b := newBench(t, func(_ *fcmtest.Service, p *Provider) {
		p.Proxy = strings.Replace(gone.URL, "://", "://user:very-secret@", 1)
	})
	err := b.Warm(t.Context())
	if err == nil || strings.Contains(err.Error(), "very-secret") ||
		!strings.Contains(err.Error(), "getting an access token: ") || !strings.Contains(err.Error(), "connecting to FCM: ") {
		t.Errorf("Warm: %v", err)
	}
	b.wantMade(t, 0, 0)
}
