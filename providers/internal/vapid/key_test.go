package vapid

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	webpush "github.com/SherClockHolmes/webpush-go"
)

func TestAPrivateKeyIsReadInEachOfItsForms(t *testing.T) {
	t.Parallel()
	raw, public, err := webpush.GenerateVAPIDKeys()
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		t.Fatal(err)
	}
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(private))})
	pkcs8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(private))})
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}})

	tests := []struct{ name, data string }{
		{"web-push's base64url", raw},
		{"base64url with padding and a line break", raw + "=\n"},
		{"SEC1", string(sec1)},
		{"SEC1 after the curve's parameters, as openssl ecparam writes it", string(parameters) + string(sec1)},
		{"PKCS#8", string(pkcs8)},
		{"PKCS#8 after a comment", "VAPID of push.example.org\n" + string(pkcs8)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := Parse([]byte(test.data))
			if err != nil {
				t.Fatal(err)
			}
			if key.PublicKey() != public {
				t.Errorf("the public key is %s, want %s", key.PublicKey(), public)
			}
		})
	}
}

func TestAKeySurvivesItsPEM(t *testing.T) {
	t.Parallel()
	key := must(Generate())
	again, err := Parse(must(key.PEM()))
	if err != nil {
		t.Fatal(err)
	}
	if again.PublicKey() != key.PublicKey() {
		t.Error("the key is another")
	}
}

func TestWhatIsNoKeyIsRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, data string
		want       error
	}{
		{"nothing", " \n", errEmpty},
		{"a passphrase", "correct horse battery staple", errUnknown},
		{"31 bytes", strings.Repeat("A", 42), errUnknown},
		{"a public key in base64url", must(Generate()).PublicKey(), errUnknown},
		{"zero", strings.Repeat("A", 43), errScalar},
		{"a number beyond the curve's order", strings.Repeat("_", 42) + "8", errScalar},
		{"a key of P-384 in SEC1", block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p384))), errCurve},
		{"a key of P-384 in PKCS#8", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p384))), errCurve},
		{"a key of Ed25519", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed))), errCurve},
		{"a broken SEC1 block", block("EC PRIVATE KEY", []byte("broken")), errBroken},
		{"a broken PKCS#8 block", block("PRIVATE KEY", []byte("broken")), errBroken},
		{"an encrypted key", block("ENCRYPTED PRIVATE KEY", []byte("sealed")), errEncrypted},
		{"a public key in PEM", block("PUBLIC KEY", []byte("public")), errNoPrivate},
		{"a cut-off PEM", "-----BEGIN PRIVATE KEY-----\nMIGH", errNoPrivate},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse([]byte(test.data)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----"))
	f.Add([]byte(strings.Repeat("A", 42) + "E"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := Parse(data); err == nil && len(key.PublicKey()) != 87 {
			t.Errorf("the public key has %d characters", len(key.PublicKey()))
		}
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
