package apns

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
)

func reader(s string) *strings.Reader { return strings.NewReader(s) }

// clocked is a signer with its own clock.
func clocked(t *testing.T) (*signer, *time.Time) {
	t.Helper()
	private, _ := apnstest.NewKey(t)
	now := time.Now()
	return &signer{private: private, keyID: "ABC123DEFG", teamID: "TEAM123456", now: func() time.Time { return now }}, &now
}

func mustToken(t *testing.T, s *signer) string {
	t.Helper()
	bearer, err := s.token()
	if err != nil {
		t.Fatal(err)
	}
	return bearer
}

func TestATokenIsWhatAppleWants(t *testing.T) {
	t.Parallel()
	s, _ := clocked(t)
	parsed, err := jwt.Parse(mustToken(t, s), func(*jwt.Token) (any, error) { return s.private.Public(), nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer("TEAM123456"), jwt.WithIssuedAt())
	if err != nil || parsed.Header["kid"] != "ABC123DEFG" {
		t.Errorf("%v, header %v", err, parsed.Header)
	}
}

func TestATokenIsUsedForLongerThanAppleWantsAndShorterThanItTakes(t *testing.T) {
	t.Parallel()
	s, now := clocked(t)
	first := mustToken(t, s)
	*now = now.Add(39 * time.Minute)
	if mustToken(t, s) != first {
		t.Error("it is renewed too early")
	}
	*now = now.Add(2 * time.Minute)
	if mustToken(t, s) == first {
		t.Error("it is not renewed")
	}
	second := mustToken(t, s)
	*now = now.Add(-2 * time.Hour)
	if mustToken(t, s) == second {
		t.Error("it is used although the clock says that it is from the future")
	}
}

func TestConcurrentPushesShareAToken(t *testing.T) {
	t.Parallel()
	s, _ := clocked(t)
	var mu sync.Mutex
	tokens := map[string]bool{}
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			bearer, _ := s.token()
			mu.Lock()
			defer mu.Unlock()
			tokens[bearer] = true
		})
	}
	group.Wait()
	if len(tokens) != 1 {
		t.Errorf("there are %d", len(tokens))
	}
}

func TestAnExpiredTokenIsRenewedOnceForAllWhoseItWas(t *testing.T) {
	t.Parallel()
	s, now := clocked(t)
	first := mustToken(t, s)
	second, err := s.renew(first)
	if err != nil || second == "" || second == first {
		t.Fatalf("got %q, %v", second, err)
	}
	if again, _ := s.renew(first); again != second {
		t.Error("another push with the same token got yet another one")
	}
	if third, _ := s.renew(second); third != "" {
		t.Error("a token that has just been made is made again: it must be the clock")
	}
	*now = now.Add(renewEvery)
	if third, _ := s.renew(second); third == "" || third == second {
		t.Error("it is not renewed after a while")
	}
}

func TestAppsWithOneKeyShareItsSigner(t *testing.T) {
	t.Parallel()
	private, _ := apnstest.NewKey(t)
	other, _ := apnstest.NewKey(t)
	take := func(s *pooled.Share[*signer], err error) *signer {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Release(); err != nil {
				t.Error(err)
			}
		})
		return s.Value
	}
	a, b := take(takeSigner(private, "ABC123DEFG", "TEAM123456")), take(takeSigner(private, "ABC123DEFG", "TEAM123456"))
	if a != b {
		t.Error("the same key has two signers")
	}
	if c := take(takeSigner(other, "ABC123DEFG", "TEAM123456")); c == a {
		t.Error("another key has the same signer")
	}
}
