package node

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	// prefix begins every node. No token of a push service has a dot at this place.
	prefix  = "s1."
	keySize = 32
	idSize  = 4
	// secretSize is the size of a secret in bytes.
	secretSize = 16
)

var errKey = errors.New("the key does not have 32 bytes")

// encoding is strict, so a changed character is never the same node.
var encoding = base64.RawURLEncoding.Strict()

// id is the public name of a key.
type id [idSize]byte

// key seals and opens nodes.
type key struct {
	id    id
	aead  cipher.AEAD
	nonce []byte // the key of the hash that is the nonce
	proof []byte // the key of the hash that is the secret
}

// newKey derives the keys for each purpose from the stored key, RFC 5869.
func newKey(id id, stored []byte) (*key, error) {
	if len(stored) != keySize {
		return nil, errKey
	}
	var derived [3][]byte
	for i, purpose := range []string{"seal", "nonce", "secret"} {
		var err error
		if derived[i], err = hkdf.Key(sha256.New, stored, nil, "caddy-matrix-push xmpp node "+purpose, keySize); err != nil {
			return nil, fmt.Errorf("deriving a key: %w", err)
		}
	}
	block, err := aes.NewCipher(derived[0])
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return &key{id: id, aead: aead, nonce: derived[1], proof: derived[2]}, nil
}

// seal returns the node of a registration for that domain.
func (k *key) seal(registration []byte, domain string) string {
	nonce := hash(k.nonce, binary.AppendUvarint(nil, uint64(len(domain))), []byte(domain), registration)[:k.aead.NonceSize()]
	b := append(k.id[:], nonce...)
	return prefix + encoding.EncodeToString(k.aead.Seal(b, nonce, registration, k.bound(domain)))
}

// open returns the registration in a node, without its prefix and key id.
func (k *key) open(sealed []byte, domain string) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(sealed) < n {
		return nil, errDecode
	}
	return k.aead.Open(nil, sealed[:n], sealed[n:], k.bound(domain))
}

// bound is what a node is bound to without containing it.
func (k *key) bound(domain string) []byte {
	return append(append([]byte(prefix), k.id[:]...), domain...)
}

// secret returns the secret of a node.
func (k *key) secret(node string) string {
	return encoding.EncodeToString(hash(k.proof, []byte(node))[:secretSize])
}

func hash(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// split returns a node's key id, and the rest.
func split(node string) (id id, sealed []byte, err error) {
	encoded, ok := strings.CutPrefix(node, prefix)
	if !ok {
		return id, nil, ErrNotSealed
	}
	b, err := encoding.DecodeString(encoded)
	if err != nil || len(b) < idSize || strings.ContainsAny(encoded, "\r\n") { // the decoder ignores line ends
		return id, nil, ErrInvalid
	}
	return [idSize]byte(b), b[idSize:], nil
}

func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // it never fails
	return b
}
