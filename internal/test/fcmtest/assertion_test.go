package fcmtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

const (
	scope = "https://www.googleapis.com/auth/firebase.messaging"
	grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// signer signs assertions with the key of a service account's file, or with another.
type signer struct {
	file   map[string]string
	key    *rsa.PrivateKey
	header map[string]any
	claims jwt.MapClaims
}

func newSigner(t *testing.T, path string) *signer {
	t.Helper()
	file := fileOf(t, path)
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(file["private_key"]))
	if err != nil {
		t.Fatal(err)
	}
	return &signer{
		file: file, key: key, header: map[string]any{"kid": file["private_key_id"]},
		claims: jwt.MapClaims{
			"iss": file["client_email"], "aud": file["token_uri"], "scope": scope,
			"iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
		},
	}
}

func (s *signer) sign(t *testing.T, method jwt.SigningMethod, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, s.claims)
	for name, value := range s.header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestFCMRefusesAnAssertionThatBreaksARule(t *testing.T) {
	t.Parallel()
	f := fcmtest.New(t, fcmtest.Options{Now: func() time.Time { return noon }})
	client, path := client(t, f.CAFile), f.ServiceAccount(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*signer) {
		return func(s *signer) {
			delete(s.claims, name)
			if value != nil {
				s.claims[name] = value
			}
		}
	}
	const signature, timeframe, notSet = "Invalid JWT Signature.", "short-lived", "not set"
	tests := []struct {
		name        string
		change      func(*signer)
		code        string
		description string
	}{
		{"another account", claim("iss", "x@example.org"), "invalid_grant", "account not found"},
		{"no account", claim("iss", nil), "invalid_grant", "account not found"},
		{"another key", func(s *signer) { s.key = stranger }, "invalid_grant", signature},
		{"another key ID", func(s *signer) { s.header["kid"] = "other" }, "invalid_grant", signature},
		{"no key ID", func(s *signer) { s.header = nil }, "invalid_grant", signature},
		{"another audience", claim("aud", "https://oauth2.googleapis.com/token"), "invalid_grant", "audience"},
		{"no audience", claim("aud", nil), "invalid_grant", "audience"},
		{"no expiry", claim("exp", nil), "invalid_grant", notSet},
		{"no time of issue", claim("iat", nil), "invalid_grant", notSet},
		{"an expiry that is over", claim("exp", noon.Unix()), "invalid_grant", timeframe},
		{"a life of more than an hour", claim("exp", noon.Add(time.Hour+time.Second).Unix()), "invalid_grant", timeframe},
		{"an expiry before the time of issue", func(s *signer) {
			s.claims["iat"], s.claims["exp"] = noon.Add(2*time.Minute).Unix(), noon.Add(time.Minute).Unix()
		}, "invalid_grant", timeframe},
		{"a time of issue in the future", func(s *signer) {
			s.claims["iat"], s.claims["exp"] = noon.Add(6*time.Minute).Unix(), noon.Add(30*time.Minute).Unix()
		}, "invalid_grant", timeframe},
		{"another scope", claim("scope", "https://www.googleapis.com/auth/firebase"), "invalid_scope", "scope"},
		{"no scope", claim("scope", nil), "invalid_scope", "scope"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSigner(t, path)
			test.change(s)
			status, body := post(t, client, s.file["token_uri"], url.Values{
				"grant_type": {grant}, "assertion": {s.sign(t, jwt.SigningMethodRS256, s.key)},
			})
			description, _ := body["error_description"].(string)
			if status != http.StatusBadRequest || body["error"] != test.code || !strings.Contains(description, test.description) {
				t.Errorf("the answer is %d, %v", status, body)
			}
		})
	}
}
