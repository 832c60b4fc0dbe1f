// Package ece encrypts a push message for a Web Push subscription by RFC 8291: one record of the aes128gcm content encoding (RFC 8188)
// under a key that only the subscriber can derive.
package ece

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	saltSize   = 16
	pointSize  = 65                           // an uncompressed P-256 point, RFC 8291 section 3.1
	headerSize = saltSize + 4 + 1 + pointSize // RFC 8188 section 2.1: salt, rs, idlen, keyid
	tagSize    = 16

	// maxBody is what a push service must accept, RFC 8030 section 7.2; accepting more is optional.
	maxBody = 4096
	// recordSize is the header's rs. RFC 8291 section 4 requires it to be greater than the one record, and the record may be shorter.
	recordSize = maxBody

	// MaxPlaintext is the length of the longest message whose encrypted form every push service must accept, RFC 8291 section 4.
	MaxPlaintext = maxBody - headerSize - 1 - tagSize
)

// ErrTooLong means that a message is longer than [MaxPlaintext].
var ErrTooLong = fmt.Errorf("the message is longer than %d bytes", MaxPlaintext)

var errNoKeys = errors.New("the subscription has no keys")

// buckets are the possible sizes of a body, so its length reveals little about its content.
var buckets = [...]int{512, 1024, 2048, maxBody}

// Encrypt returns the body of a push request with content encoding aes128gcm: plaintext, padded to a body of 512, 1024, 2048 or 4096 bytes
// and encrypted for the holder of the subscription. It makes a new key pair and salt each time (RFC 8291 section 3.1). It does not modify
// plaintext, and is safe for concurrent use.
func Encrypt(plaintext []byte, k Keys) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, ErrTooLong
	}
	sender, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key pair: %w", err)
	}
	var salt [saltSize]byte
	_, _ = rand.Read(salt[:]) // never fails, see its documentation
	return encrypt(plaintext, k, sender, salt, bodySize(len(plaintext)))
}

// bodySize returns the smallest bucket that fits a message of n bytes.
func bodySize(n int) int {
	for _, size := range buckets {
		if n <= size-headerSize-1-tagSize {
			return size
		}
	}
	return maxBody
}

// encrypt is Encrypt with all random values given, and with a body of size bytes.
func encrypt(plaintext []byte, k Keys, sender *ecdh.PrivateKey, salt [saltSize]byte, size int) ([]byte, error) {
	if k.public == nil {
		return nil, errNoKeys
	}
	body := make([]byte, size)
	copy(body, salt[:])
	binary.BigEndian.PutUint32(body[saltSize:], recordSize)
	body[saltSize+4] = pointSize
	point := body[saltSize+5 : headerSize]
	copy(point, sender.PublicKey().Bytes())
	gcm, nonce, err := k.derive(sender, point, body[:saltSize])
	if err != nil {
		return nil, err
	}

	// RFC 8188 section 2: the message, the delimiter of the last record, and zeros up to the tag.
	record := body[headerSize : size-tagSize]
	n := copy(record, plaintext)
	record[n] = 2
	gcm.Seal(record[:0], nonce, record, nil)
	return body, nil
}

// derive is the key agreement of RFC 8291 section 3.4, whose summary uses the same names for the intermediate values. The point is the
// sender's public key.
func (k Keys) derive(sender *ecdh.PrivateKey, point, salt []byte) (cipher.AEAD, []byte, error) {
	secret, err := sender.ECDH(k.public)
	if err != nil {
		return nil, nil, fmt.Errorf("agreeing on a secret: %w", err)
	}
	keyInfo := "WebPush: info\x00" + string(k.public.Bytes()) + string(point)
	ikm, err := hkdf.Key(sha256.New, secret, k.auth[:], keyInfo, 32)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving the input keying material: %w", err)
	}
	prk, err := hkdf.Extract(sha256.New, ikm, salt)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving the pseudorandom key: %w", err)
	}
	cek, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving the content encryption key: %w", err)
	}
	nonce, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving the nonce: %w", err)
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, nil, fmt.Errorf("using the content encryption key: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("using the content encryption key: %w", err)
	}
	return gcm, nonce, nil
}
