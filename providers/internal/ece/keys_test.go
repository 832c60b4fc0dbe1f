package ece

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestKeysAreReadInEveryFormOfBase64(t *testing.T) {
	t.Parallel()
	point, auth := unbase64(t, vectorP256dh), unbase64(t, vectorAuth)
	want, err := ParseKeys(vectorP256dh, vectorAuth)
	if err != nil {
		t.Fatal(err)
	}
	encodings := map[string]*base64.Encoding{
		"base64url without padding": base64.RawURLEncoding,
		"base64url with padding":    base64.URLEncoding,
		"base64 without padding":    base64.RawStdEncoding,
		"base64 with padding":       base64.StdEncoding,
	}
	for name, encoding := range encodings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseKeys(encoding.EncodeToString(point)+"\n", encoding.EncodeToString(auth))
			if err != nil {
				t.Fatal(err)
			}
			if !got.public.Equal(want.public) || got.auth != want.auth {
				t.Error("the keys are others")
			}
		})
	}
}

func TestUnusableKeysAreRefusedByTheFieldsName(t *testing.T) {
	t.Parallel()
	point := unbase64(t, vectorP256dh)
	offCurve := append([]byte(nil), point...)
	offCurve[64] ^= 1
	compressed := append([]byte{2 + point[64]&1}, point[1:33]...)
	raw := base64.RawURLEncoding.EncodeToString
	tests := []struct {
		name, p256dh, auth string
		want               error
	}{
		{"p256dh is empty", "", vectorAuth, errP256dhSize},
		{"p256dh is not base64", "B*xs" + vectorP256dh[4:], vectorAuth, errP256dhEncoding},
		{"p256dh is cut off", vectorP256dh[:60], vectorAuth, errP256dhSize},
		{"p256dh is a compressed point", raw(compressed), vectorAuth, errP256dhSize},
		{"p256dh is the point at infinity", raw([]byte{0}), vectorAuth, errP256dhSize},
		{"p256dh is 65 zeros", raw(make([]byte, 65)), vectorAuth, errP256dhPoint},
		{"p256dh is beside the curve", raw(offCurve), vectorAuth, errP256dhPoint},
		{"auth is empty", vectorP256dh, "", errAuthSize},
		{"auth has 3 bytes", vectorP256dh, "AAAA", errAuthSize},
		{"auth has 17 bytes", vectorP256dh, raw(make([]byte, 17)), errAuthSize},
		{"auth is not base64", vectorP256dh, "!" + vectorAuth[1:], errAuthEncoding},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKeys(test.p256dh, test.auth)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if field, _, _ := strings.Cut(test.name, " "); !strings.HasPrefix(err.Error(), field) {
				t.Errorf("%q does not name %s", err, field)
			}
		})
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add(vectorP256dh, vectorAuth)
	f.Add(vectorP256dh+"=", vectorAuth+"==")
	f.Add("BA==", "\n")
	f.Fuzz(func(t *testing.T, p256dh, auth string) {
		keys, err := ParseKeys(p256dh, auth)
		if err != nil {
			for _, value := range []string{p256dh, auth} {
				if len(value) > 20 && strings.Contains(err.Error(), value) {
					t.Fatal("the error shows the value")
				}
			}
			return
		}
		if _, err := Encrypt([]byte("m"), keys); err != nil {
			t.Fatalf("keys that were read cannot be used: %v", err)
		}
	})
}
