package jwttest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
)

func TestATokenIsTakenOnlyWithTheSignatureOfItsKey(t *testing.T) {
	t.Parallel()
	const header, claims = `{"alg":"ES256","typ":"JWT"}`, `{"iss":"somebody"}`
	key, stranger := newKey(t), newKey(t)
	good := jwttest.Sign(t, key, header, claims)
	if got, err := jwttest.Verify(good, &key.PublicKey); err != nil || string(got) != claims {
		t.Errorf("the claims are %s, %v", got, err)
	}
	parts := strings.Split(jwttest.Sign(t, key, header, `{"iss":"another"}`), ".")
	signature := good[strings.LastIndexByte(good, '.'):]
	for token, want := range map[string]string{
		jwttest.Sign(t, stranger, header, claims):                           "the signature is wrong",
		parts[0] + "." + parts[1] + signature:                               "the signature is wrong",
		strings.TrimSuffix(good, signature):                                 "t is not a JWT",
		good + "=":                                                          "t is not base64url",
		good[:len(good)-4]:                                                  "the signature is not 64 bytes",
		jwttest.Sign(t, key, `[]`, claims):                                  "the token's header is not JSON",
		jwttest.Sign(t, key, `{"alg":"none"}`, claims):                      "alg is not ES256",
		jwttest.Sign(t, key, `{"alg":"ES256","typ":"application"}`, claims): "typ is not JWT",
	} {
		if got, err := jwttest.Verify(token, &key.PublicKey); err == nil || err.Error() != want {
			t.Errorf("%s: %s, %v, want %s", token, got, err, want)
		}
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
