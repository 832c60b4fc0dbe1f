package vapid

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const origin = "https://push.example"

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestTheTokenIsWhatRFC8292Asks(t *testing.T) {
	t.Parallel()
	key := must(Generate())
	signer := must(NewSigner(key, "mailto:ops@example.org"))
	token, k := split(t, must(signer.Authorization(origin, noon)))
	if k != key.PublicKey() {
		t.Errorf("k is %s, want %s", k, key.PublicKey())
	}
	if header := decode(t, strings.Split(token, ".")[0]); string(header) != `{"alg":"ES256","typ":"JWT"}` {
		t.Errorf("the header is %s", header)
	}
	want := `{"aud":"https://push.example","exp":1782950400,"sub":"mailto:ops@example.org"}`
	if claims := decode(t, strings.Split(token, ".")[1]); string(claims) != want {
		t.Errorf("the claims are %s, want %s", claims, want)
	}
	if !verifies(t, token, k) {
		t.Error("the signature is wrong")
	}
}

func TestNoSubjectIsLeftOut(t *testing.T) {
	t.Parallel()
	signer := must(NewSigner(must(Generate()), ""))
	token, _ := split(t, must(signer.Authorization(origin, noon)))
	var claims map[string]any
	if err := json.Unmarshal(decode(t, strings.Split(token, ".")[1]), &claims); err != nil {
		t.Fatal(err)
	}
	if _, ok := claims["sub"]; ok {
		t.Error("there is a sub")
	}
}

func TestABadSubjectMakesNoSigner(t *testing.T) {
	t.Parallel()
	if _, err := NewSigner(must(Generate()), "ops@example.org"); err == nil {
		t.Error("the subject was taken")
	}
}

// Guards against a bug of common-proxies: it wrote r and s without their leading zeros, so about one signature in 128 was too short and
// refused.
func TestRegressionCommonProxiesEverySignatureHas64Bytes(t *testing.T) {
	t.Parallel()
	signer := must(NewSigner(must(Generate()), ""))
	for i := range 2000 {
		token, _ := split(t, must(signer.Authorization(fmt.Sprintf("https://%d.example", i), noon)))
		if signature := decode(t, strings.Split(token, ".")[2]); len(signature) != 64 {
			t.Fatalf("signature %d has %d bytes", i, len(signature))
		}
	}
}

func TestATokenIsUsedForHalfOfItsLife(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		later  time.Duration
		reused bool
	}{
		{"at once", 0, true},
		{"just before half of its life", life/2 - time.Second, true},
		{"at half of its life", life / 2, false},
		{"after its end", 2 * life, false},
		{"after the clock went a little back", -time.Minute, true},
		{"after the clock went back so far that services would refuse the token", -life, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			signer := must(NewSigner(must(Generate()), ""))
			first := must(signer.Authorization(origin, noon))
			second := must(signer.Authorization(origin, noon.Add(test.later)))
			if (first == second) != test.reused {
				t.Errorf("reused: %v, want %v", first == second, test.reused)
			}
		})
	}
}

func TestEachOriginHasItsOwnToken(t *testing.T) {
	t.Parallel()
	signer := must(NewSigner(must(Generate()), ""))
	if must(signer.Authorization(origin, noon)) == must(signer.Authorization("https://other.example", noon)) {
		t.Error("two origins got one token")
	}
}

func TestConcurrentPushesToOneOriginSignOnce(t *testing.T) {
	t.Parallel()
	signer := must(NewSigner(must(Generate()), ""))
	headers := make([]string, 50)
	var group sync.WaitGroup
	for i := range headers {
		// Signatures are randomized, so two would differ.
		group.Go(func() { headers[i] = must(signer.Authorization(origin, noon)) })
	}
	group.Wait()
	for _, header := range headers {
		if header != headers[0] {
			t.Fatal("there is more than one token")
		}
	}
}

func TestOriginsAreForgottenWhenThereAreTooMany(t *testing.T) {
	t.Parallel()
	signer := must(NewSigner(must(Generate()), ""))
	first := must(signer.Authorization(origin, noon))
	for i := range origins {
		must(signer.Authorization(fmt.Sprintf("https://%d.example", i), noon))
	}
	if n := signer.tokens.Len(); n != origins {
		t.Errorf("%d tokens are kept, want %d", n, origins)
	}
	if must(signer.Authorization(origin, noon)) == first {
		t.Error("the oldest is still there")
	}
}

func TestOriginIsThatOfRFC6454(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, endpoint, want string }{
		{"path and query are not part of it", "https://push.example/a/b?c=d#e", "https://push.example"},
		{"a port is", "https://push.example:8443/a", "https://push.example:8443"},
		{"the scheme's own port is not", "https://push.example:443/a", "https://push.example"},
		{"nor http's", "http://push.example:80/a", "http://push.example"},
		{"443 is not http's", "http://push.example:443/a", "http://push.example:443"},
		{"letters are small", "HTTPS://Push.Example/A", "https://push.example"},
		{"IPv6 has brackets", "https://[2001:DB8::1]/a", "https://[2001:db8::1]"},
		{"IPv6 with a port too", "https://[2001:db8::1]:8443/a", "https://[2001:db8::1]:8443"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Origin(must(url.Parse(test.endpoint))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// split takes the header apart.
func split(t *testing.T, header string) (token, k string) {
	t.Helper()
	token, k, ok := strings.Cut(strings.TrimPrefix(header, "vapid t="), ", k=")
	if !ok || !strings.HasPrefix(header, "vapid t=") {
		t.Fatalf("the header is %q", header)
	}
	return token, k
}

// verifies checks the signature with only crypto/ecdsa.
func verifies(t *testing.T, token, k string) bool {
	t.Helper()
	public := must(ecdsa.ParseUncompressedPublicKey(elliptic.P256(), decode(t, k)))
	signed, signature, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(signature, ".")
	hash := sha256.Sum256([]byte(signed + "." + payload))
	raw := decode(t, signature)
	return ecdsa.Verify(public, hash[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]))
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}
