package fcm

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// endpoint returns tokens to a source: token-1, token-2 and so on, each valid for an hour.
type endpoint struct {
	mu      sync.Mutex
	fetches int
	err     error
	delay   time.Duration
}

func (e *endpoint) fetch(ctx context.Context) (*oauth2.Token, error) {
	select {
	case <-time.After(e.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fetches++
	if e.err != nil {
		return nil, e.err
	}
	return &oauth2.Token{AccessToken: "token-" + strconv.Itoa(e.fetches), Expiry: time.Now().Add(time.Hour)}, nil
}

func (e *endpoint) source() *source { return &source{fetch: e.fetch, now: time.Now} }

func wantToken(t *testing.T, s *source, want string) {
	t.Helper()
	if got, err := s.get(t.Context()); got != want || err != nil {
		t.Errorf("got %q, %v, want %s", got, err, want)
	}
}

func TestATokenIsFetchedOnceForAllWhoAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{delay: time.Second}
		s := e.source()
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() { wantToken(t, s, "token-1") })
		}
		group.Wait()
	})
}

func TestTheNextTokenIsFetchedWhileTheLastOneServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		s := e.source()
		wantToken(t, s, "token-1")
		time.Sleep(49 * time.Minute) // the bubble's time
		wantToken(t, s, "token-1")
		synctest.Wait()
		wantToken(t, s, "token-1")
		time.Sleep(2 * time.Minute)
		wantToken(t, s, "token-1")
		synctest.Wait()
		wantToken(t, s, "token-2")
	})
}

func TestAnEndpointThatFailsIsNotAskedForEachPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{err: errors.New("out of order")}
		s := e.source()
		for range 10 {
			if _, err := s.get(t.Context()); err == nil {
				t.Error("there is a token")
			}
		}
		if e.fetches != 1 {
			t.Errorf("it was asked %d times", e.fetches)
		}
		e.err = nil
		time.Sleep(fetchAgain)
		wantToken(t, s, "token-2")
	})
}

func TestAFailureToFetchTheNextTokenCostsNothingWhileTheLastOneServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		s := e.source()
		wantToken(t, s, "token-1")
		e.err = errors.New("out of order")
		time.Sleep(59 * time.Minute)
		for range 10 {
			wantToken(t, s, "token-1")
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		if _, err := s.get(t.Context()); err == nil {
			t.Error("a token that has ended is given out")
		}
	})
}

func TestWhoWaitsForATokenWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := (&endpoint{delay: 10 * time.Second}).source()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := s.get(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		wantToken(t, s, "token-1") // nobody's context ended the fetch
	})
}

func TestARefusedTokenIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := (&endpoint{}).source()
		wantToken(t, s, "token-1")
		s.refused("token-1")
		wantToken(t, s, "token-2")
		s.refused("token-1") // another push got the same answer
		wantToken(t, s, "token-2")
	})
}

func TestATokenThatIsRefusedLikeTheLastOneIsKeptForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := (&endpoint{}).source()
		wantToken(t, s, "token-1")
		s.refused("token-1")
		wantToken(t, s, "token-2")
		s.refused("token-2")
		wantToken(t, s, "token-2")
		time.Sleep(renewEvery)
		s.refused("token-2")
		wantToken(t, s, "token-3")
	})
}

func TestATokenThatHasAlreadyEndedIsNone(t *testing.T) {
	t.Parallel()
	s := &source{now: time.Now, fetch: func(context.Context) (*oauth2.Token, error) { return &oauth2.Token{AccessToken: "t"}, nil }}
	if _, err := s.get(t.Context()); err == nil {
		t.Error("it was given out")
	}
}

func TestAFailureToGetATokenSaysWhoseItIs(t *testing.T) {
	t.Parallel()
	refused := func(status int) error {
		return &oauth2.RetrieveError{Response: &http.Response{StatusCode: status}, Body: []byte("very-secret")}
	}
	tests := []struct {
		name   string
		err    error
		kind   providers.Kind
		reason string
	}{
		{"Google does not take the assertion", refused(400), providers.KindMisconfigured, "credentials_refused"},
		{"Google does not know the client", refused(401), providers.KindMisconfigured, "credentials_refused"},
		{"too many requests", refused(429), providers.KindRetry, "token_unavailable"},
		{"Google is out of order", refused(503), providers.KindRetry, "token_unavailable"},
		{"no answer", context.DeadlineExceeded, providers.KindRetry, "token_timeout"},
		{"anything else", errors.New("very-secret"), providers.KindRetry, "token_network"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := failed(&credentialError{test.err})
			if o.Kind != test.kind || o.Reason != test.reason || o.Err.Error() == "very-secret" {
				t.Errorf("got %+v", o)
			}
		})
	}
}
