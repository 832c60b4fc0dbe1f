package apnstest_test

import (
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
)

func TestAPNsCatchesEveryBrokenRuleOfAProviderToken(t *testing.T) {
	t.Parallel()
	const header = `{"alg":"ES256","kid":"KEY4567890"}`
	claims := fmt.Sprintf(`{"iss":"TEAM567890","iat":%d}`, noon.Unix())
	stranger, _ := apnstest.NewKey(t)
	sign := func(header, claims string) func(*testing.T, *ecdsa.PrivateKey) string {
		return func(t *testing.T, key *ecdsa.PrivateKey) string {
			t.Helper()
			return jwttest.Sign(t, key, header, claims)
		}
	}
	issued := func(age time.Duration) func(*testing.T, *ecdsa.PrivateKey) string {
		return sign(header, fmt.Sprintf(`{"iss":"TEAM567890","iat":%d}`, noon.Add(-age).Unix()))
	}
	tests := []struct {
		name              string
		token             func(*testing.T, *ecdsa.PrivateKey) string
		reason, violation string
	}{
		{"no JWT", func(*testing.T, *ecdsa.PrivateKey) string { return "token" }, "InvalidProviderToken", "wrong"},
		{"another algorithm", sign(`{"alg":"HS256","kid":"KEY4567890"}`, claims), "InvalidProviderToken", "ES256"},
		{"no kid", sign(`{"alg":"ES256"}`, claims), "InvalidProviderToken", "kid"},
		{"an unknown kid", sign(`{"alg":"ES256","kid":"KEY"}`, claims), "InvalidProviderToken", "kid"},
		{"another's signature", func(t *testing.T, _ *ecdsa.PrivateKey) string {
			t.Helper()
			return jwttest.Sign(t, stranger, header, claims)
		}, "InvalidProviderToken", "signature is wrong"},
		{"another team", sign(header, fmt.Sprintf(`{"iss":"TEAM","iat":%d}`, noon.Unix())), "InvalidProviderToken", "iss"},
		{"no time of issue", sign(header, `{"iss":"TEAM567890"}`), "InvalidProviderToken", "iat"},
		{"a time of issue in words", sign(header, `{"iss":"TEAM567890","iat":"noon"}`), "InvalidProviderToken", "iat"},
		{"a time of issue with a fraction", sign(header, `{"iss":"TEAM567890","iat":1.5}`), "InvalidProviderToken", "iat"},
		{"an age above an hour", issued(time.Hour + time.Second), "ExpiredProviderToken", "old"},
		{"a time of issue in the future", issued(-6 * time.Second), "ExpiredProviderToken", "old"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.bearer = test.token(t, f.key)
			expectRefusal(t, f, f.request(t), http.StatusForbidden, test.reason, test.violation)
			if n := f.ProviderTokens(); n != 0 {
				t.Errorf("%d provider tokens count as valid", n)
			}
		})
	}
}

func TestAPNsTakesAProviderTokenForAnHour(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.expect(t, f.request(t), http.StatusOK, "")
	f.advance(time.Hour)
	f.expect(t, f.request(t), http.StatusOK, "")
	f.advance(time.Second)
	expectRefusal(t, f, f.request(t), http.StatusForbidden, "ExpiredProviderToken", "old")
}

func TestAPNsRefusesAKeyOfTheOtherEnvironment(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"production", "sandbox"} {
		f := newFixture(t, func(o *apnstest.Options) {
			o.Environment, o.Keys[0].Environment = "sandbox", environment
		})
		if environment == "sandbox" {
			f.expect(t, f.request(t), http.StatusOK, "")
		} else {
			expectRefusal(t, f, f.request(t), http.StatusForbidden, "BadEnvironmentKeyInToken", "production only")
		}
	}
}

func TestAPNsWantsAConnectionToStayWithItsTeamAndKey(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, team, reason, violation string }{
		{"another team", "TEAM000000", "InvalidProviderToken", "another team"},
		{"another key of the team", "TEAM567890", "UnrelatedKeyIdInToken", "another key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			second, _ := apnstest.NewKey(t)
			f := newFixture(t, func(o *apnstest.Options) {
				o.Keys = append(o.Keys, apnstest.Key{
					KeyID: "KEY0000000", TeamID: test.team, Public: &second.PublicKey, Topics: []string{bundle},
				})
			})
			f.expect(t, f.request(t), http.StatusOK, "")
			f.advance(time.Second)
			f.bearer = tokenOf(t, second, "KEY0000000", test.team, noon)
			expectRefusal(t, f, f.request(t), http.StatusForbidden, test.reason, test.violation)
			f.client = client(t, f.Service)
			f.expect(t, f.request(t), http.StatusOK, "")
		})
	}
}

func TestAPNsWants20MinutesBetweenTheProviderTokensOfAKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.bearer
	f.expect(t, f.request(t), http.StatusOK, "")

	f.advance(19 * time.Minute)
	f.bearer = f.token(t, *f.clock.Load())
	expectRefusal(t, f, f.request(t), http.StatusTooManyRequests, "TooManyProviderTokenUpdates", "20m")
	f.bearer = f.token(t, noon)
	f.expect(t, f.request(t), http.StatusTooManyRequests, "TooManyProviderTokenUpdates")
	f.bearer = first
	f.expect(t, f.request(t), http.StatusOK, "")

	f.advance(time.Minute)
	f.bearer = f.token(t, *f.clock.Load())
	f.expect(t, f.request(t), http.StatusOK, "")
	if n := f.ProviderTokens(); n != 2 {
		t.Errorf("%d provider tokens count as valid", n)
	}
}

func TestAPNsTakesOneNewProviderTokenForOneThatItCalledExpired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer("", apnstest.Answer{Reason: "ExpiredProviderToken"})
	f.expect(t, f.request(t), http.StatusForbidden, "ExpiredProviderToken")
	f.bearer = f.token(t, noon.Add(time.Second))
	f.expect(t, f.request(t), http.StatusOK, "")
	f.bearer = f.token(t, noon.Add(2*time.Second))
	f.expect(t, f.request(t), http.StatusTooManyRequests, "TooManyProviderTokenUpdates")
}

func TestAPNsTakesAnyProviderTokenIfToldTo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *apnstest.Options) { o.AllowTokenUpdates = true })
	for range 3 {
		f.bearer = f.token(t, noon)
		f.expect(t, f.request(t), http.StatusOK, "")
	}
	if n := f.ProviderTokens(); n != 3 {
		t.Errorf("%d provider tokens count as valid", n)
	}
}
