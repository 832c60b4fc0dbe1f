package providertest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// decrypt does what a browser does with a push message (RFC 8291, in the aes128gcm content encoding of RFC 8188): it parses the body of
// the push request and returns the plaintext. It shares no code with the gateway's encryption, not even HKDF, so it cannot repeat a
// mistake made there.
func decrypt(body []byte, private *ecdh.PrivateKey, auth []byte) ([]byte, error) {
	salt, sender, record, err := splitBody(body)
	if err != nil {
		return nil, err
	}
	secret, err := private.ECDH(sender)
	if err != nil {
		return nil, fmt.Errorf("agreeing on a secret: %w", err)
	}

	// RFC 8291 section 3.4. No output is longer than one block of HMAC-SHA-256.
	keyInfo := slices.Concat([]byte("WebPush: info\x00"), private.PublicKey().Bytes(), sender.Bytes())
	ikm := hkdfBlock(hkdfExtract(auth, secret), keyInfo)
	prk := hkdfExtract(salt, ikm)
	key := hkdfBlock(prk, []byte("Content-Encoding: aes128gcm\x00"))[:16]
	nonce := hkdfBlock(prk, []byte("Content-Encoding: nonce\x00"))[:12]

	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	padded, err := gcm.Open(nil, nonce, record, nil)
	if err != nil {
		return nil, errors.New("the record does not decrypt with the subscription's keys")
	}
	return unpad(padded)
}

// splitBody parses the header of RFC 8188 section 2.1 as RFC 8291 section 4 restricts it: the keyid is the sender's public key, and
// there is a single record, shorter than rs.
func splitBody(body []byte) (salt []byte, sender *ecdh.PublicKey, record []byte, err error) {
	const fixed = 16 + 4 + 1
	if len(body) < fixed {
		return nil, nil, nil, errors.New("the body is shorter than the header of aes128gcm")
	}
	rs, idlen := binary.BigEndian.Uint32(body[16:]), int(body[20])
	if idlen != 65 || len(body) < fixed+idlen {
		return nil, nil, nil, fmt.Errorf("the keyid has %d bytes, not the 65 of a public key", idlen)
	}
	sender, err = ecdh.P256().NewPublicKey(body[fixed : fixed+idlen])
	if err != nil {
		return nil, nil, nil, errors.New("the keyid is not a point on the curve")
	}
	record = body[fixed+idlen:]
	if rs < 18 {
		return nil, nil, nil, fmt.Errorf("the record size %d is less than 18", rs)
	}
	if uint64(len(record)) >= uint64(rs) {
		return nil, nil, nil, fmt.Errorf("the record size %d is not greater than the single record's %d bytes", rs, len(record))
	}
	return body[:16], sender, record, nil
}

// unpad removes the zeros and the delimiter from a last record, RFC 8188 section 2.
func unpad(padded []byte) ([]byte, error) {
	n := len(padded) - 1
	for n >= 0 && padded[n] == 0 {
		n--
	}
	if n < 0 || padded[n] != 2 {
		return nil, errors.New("the record does not end with the delimiter of a last record")
	}
	return padded[:n], nil
}

// hkdfExtract is HKDF-Extract with SHA-256, RFC 5869.
func hkdfExtract(salt, ikm []byte) []byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write(ikm)
	return mac.Sum(nil)
}

// hkdfBlock is the first block of HKDF-Expand with SHA-256, RFC 5869.
func hkdfBlock(prk, info []byte) []byte {
	mac := hmac.New(sha256.New, prk)
	mac.Write(info)
	mac.Write([]byte{1})
	return mac.Sum(nil)
}
