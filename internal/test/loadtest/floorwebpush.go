package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

func (c *client) webpush(tokens map[string]string) pusher {
	return func(r *http.Request, n *notification, d *device) (int, error) {
		var data struct {
			Endpoint string `json:"endpoint"`
			Auth     string `json:"auth"`
		}
		if err := json.Unmarshal(d.Data, &data); err != nil {
			return 0, err
		}
		endpoint, err := url.Parse(data.Endpoint)
		if err != nil {
			return 0, err
		}
		body, err := encrypt(webpushMessage(n), d.Pushkey, data.Auth)
		if err != nil {
			return 0, err
		}
		header := pushHeader(n, d)
		header["Authorization"] = []string{tokens["https://"+endpoint.Host]}
		return c.post(r, data.Endpoint, header, body)
	}
}

// webpushMessage returns the message for the browser: all of the notification except the texts that no client shows.
func webpushMessage(n *notification) []byte {
	content := n.Content
	if len(content) > 2048 {
		var members map[string]json.RawMessage
		var text string
		if json.Unmarshal(content, &members) == nil && json.Unmarshal(members["body"], &text) == nil && utf8.RuneCountInString(text) > 1000 {
			delete(members, "formatted_body")
			members["body"] = marshal(string([]rune(text)[:999]) + "…")
			content = marshal(members)
		}
	}
	return marshal(struct {
		Content           json.RawMessage `json:"content,omitempty"`
		EventID           string          `json:"event_id,omitempty"`
		RoomAlias         string          `json:"room_alias,omitempty"`
		RoomID            string          `json:"room_id,omitempty"`
		RoomName          string          `json:"room_name,omitempty"`
		Sender            string          `json:"sender,omitempty"`
		SenderDisplayName string          `json:"sender_display_name,omitempty"`
		Type              string          `json:"type,omitempty"`
		Unread            *int64          `json:"unread,omitempty"`
	}{content, n.EventID, n.RoomAlias, n.RoomID, n.RoomName, n.Sender, n.SenderDisplayName, n.Type, n.Counts.Unread})
}

// encrypt implements RFC 8291, with a new key pair for each message and with the gateway's padding. It does not use the gateway's code, because
// the floor shows what that code costs compared with another.
func encrypt(plaintext []byte, p256dh, auth string) ([]byte, error) {
	point, err := base64.RawURLEncoding.DecodeString(p256dh)
	if err != nil {
		return nil, err
	}
	secret, err := base64.RawURLEncoding.DecodeString(auth)
	if err != nil {
		return nil, err
	}
	receiver, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, err
	}
	sender, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	shared, err := sender.ECDH(receiver)
	if err != nil {
		return nil, err
	}
	const header, tag = 16 + 4 + 1 + 65, 16
	size := 4096
	for size > 512 && header+len(plaintext)+1+tag <= size/2 {
		size /= 2
	}
	if header+len(plaintext)+1+tag > size {
		return nil, errors.New("the message is too long")
	}
	body := make([]byte, size)
	_, _ = rand.Read(body[:16]) // never fails, see its documentation
	binary.BigEndian.PutUint32(body[16:], 4096)
	body[20] = 65
	copy(body[21:], sender.PublicKey().Bytes())
	record := body[header : size-tag]
	record[copy(record, plaintext)] = 2
	return body, seal(record, body[:16], shared, secret, "WebPush: info\x00"+string(point)+string(body[21:header]))
}

// seal encrypts the record in place, with the keys of RFC 8291 section 3.4.
func seal(record, salt, shared, secret []byte, info string) error {
	ikm, err := hkdf.Key(sha256.New, shared, secret, info, 32)
	if err != nil {
		return err
	}
	prk, err := hkdf.Extract(sha256.New, ikm, salt)
	if err != nil {
		return err
	}
	key, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return err
	}
	nonce, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	gcm.Seal(record[:0], nonce, record, nil)
	return nil
}

// vapidTokens returns the Authorization headers for the origins (RFC 8292). They are signed once, since the gateway uses a token for hours.
func vapidTokens(dir string, origins []string) (map[string]string, error) {
	key, err := signingKey(dir)
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	tokens := make(map[string]string, len(origins))
	for _, origin := range origins {
		token, err := sign(dir, "", map[string]any{"aud": origin, "exp": time.Now().Add(12 * time.Hour).Unix(), "sub": subject})
		if err != nil {
			return nil, err
		}
		tokens[origin] = "vapid t=" + token + ", k=" + base64.RawURLEncoding.EncodeToString(public)
	}
	return tokens, nil
}

// sign makes a token, with the key's ID if it has one.
func sign(dir, id string, claims jwt.MapClaims) (string, error) {
	key, err := signingKey(dir)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	if id != "" {
		token.Header["kid"] = id
		delete(token.Header, "typ") // Apple's documentation has none
	}
	return token.SignedString(key)
}

func signingKey(dir string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(filepath.Join(dir, signingFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the signing key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key.(*ecdsa.PrivateKey), nil
}
