package ece

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"testing"
)

// These are the values of RFC 8291 section 5 and appendix A.
const (
	vectorPlaintext = "When I grow up, I want to be a watermelon"
	vectorSender    = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
	vectorP256dh    = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	vectorAuth      = "BTBZMqHH6r4Tts7J_aSIgg"
	vectorSalt      = "DGv6ra1nlYgDCS1FRnbzlw"
	vectorBody      = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml" +
		"mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT" +
		"pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

func TestTheExampleOfRFC8291IsReproducedByteForByte(t *testing.T) {
	t.Parallel()
	keys, err := ParseKeys(vectorP256dh, vectorAuth)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := ecdh.P256().NewPrivateKey(unbase64(t, vectorSender))
	if err != nil {
		t.Fatal(err)
	}
	unpadded := headerSize + len(vectorPlaintext) + 1 + tagSize
	got, err := encrypt([]byte(vectorPlaintext), keys, sender, [saltSize]byte(unbase64(t, vectorSalt)), unpadded)
	if err != nil {
		t.Fatal(err)
	}
	if want := unbase64(t, vectorBody); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
