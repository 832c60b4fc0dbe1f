package apnstest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
)

const (
	maxTokenAge    = time.Hour        // how old a provider token may be
	minTokenUpdate = 20 * time.Minute // how long a key must wait before its next one
	maxClockSkew   = 5 * time.Second  // how far a client's clock may be ahead
)

// providerToken is a provider token that was accepted.
type providerToken struct {
	key     *Key
	issued  time.Time
	expired bool // a request with it was answered ExpiredProviderToken
}

// checkProviderToken checks the authorization header. The lock is held.
// https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns
func (c *conn) checkProviderToken(s *stream, now time.Time) fault {
	text := bearer(&s.request)
	if text == "" {
		return faultf("MissingProviderToken", "there is no authorization with a bearer token, and no client certificate")
	}
	token, known := c.fake.tokens[text]
	if !known {
		var err error
		if token, err = c.fake.verifyToken(text); err != nil {
			return faultf("InvalidProviderToken", "the provider token is wrong: %s", err)
		}
	}
	s.key = token.key
	if e := token.key.Environment; e != "" && e != c.fake.options.Environment {
		// Its table spells this BadEnvironmentKeyIdInToken: https://github.com/swift-server-community/APNSwift/pull/229.
		return faultf("BadEnvironmentKeyInToken", "the key of the provider token is for %s only", e)
	}
	// This is the answer if the time of issue is not within the last hour, in the past or in the future:
	// https://developer.apple.com/library/archive/documentation/NetworkingInternet/Conceptual/RemoteNotificationsPG/CommunicatingwithAPNs.html
	if age := now.Sub(token.issued); age > maxTokenAge || age < -maxClockSkew {
		return faultf("ExpiredProviderToken", "the provider token is %s old", age)
	}
	if fault := c.checkMixture(token.key); fault.reason != "" {
		return fault
	}
	if !known {
		if c.fake.tooSoon(token) {
			return faultf("TooManyProviderTokenUpdates", "the provider token is less than %s from another one of its key", minTokenUpdate)
		}
		c.fake.tokens[text] = token
	}
	c.key = token.key
	c.authenticated()
	return fault{}
}

// checkMixture wants all tokens of a connection to have the team and the key of its first push.
func (c *conn) checkMixture(key *Key) fault {
	switch {
	case c.key == nil || c.key == key:
		return fault{}
	case c.key.TeamID != key.TeamID:
		return faultf("InvalidProviderToken", "the connection belongs to another team")
	default:
		return faultf("UnrelatedKeyIdInToken", "the connection is for tokens of another key")
	}
}

// tooSoon reports whether a new token comes within 20 minutes of another one of its key. A token that was answered ExpiredProviderToken
// does not count, because the provider had to replace it. The lock is held.
func (a *Service) tooSoon(token *providerToken) bool {
	if a.options.AllowTokenUpdates {
		return false
	}
	for _, other := range a.tokens {
		if other.key == token.key && !other.expired && token.issued.Sub(other.issued).Abs() < minTokenUpdate {
			return true
		}
	}
	return false
}

// tokenExpired notes that a request was answered ExpiredProviderToken. The lock is held.
func (a *Service) tokenExpired(r *Request) {
	if token := a.tokens[bearer(r)]; token != nil {
		token.expired = true
	}
}

// bearer returns the provider token of a request; empty if it has none.
func bearer(r *Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}

// verifyToken verifies a JWT (RFC 7519) against the keys: ES256, with the key's id in the header and its team as the issuer.
func (a *Service) verifyToken(text string) (*providerToken, error) {
	encoded, _, _ := strings.Cut(text, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("it is not base64url")
	}
	var header struct {
		Kid string `json:"kid"`
	}
	if err := json.Unmarshal(decoded, &header); err != nil {
		return nil, errors.New("its header is not JSON with a string kid")
	}
	for i := range a.options.Keys {
		if key := &a.options.Keys[i]; key.KeyID == header.Kid {
			return key.verify(text)
		}
	}
	return nil, errors.New("kid is not the ID of a known key")
}

func (key *Key) verify(text string) (*providerToken, error) {
	payload, err := jwttest.Verify(text, key.Public)
	if err != nil {
		return nil, err
	}
	var claims struct {
		Iss string `json:"iss"`
		Iat *int64 `json:"iat"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, errors.New("its claims are not JSON with a string iss and an integral iat")
	}
	if claims.Iss != key.TeamID {
		return nil, errors.New("iss is not the key's team")
	}
	if claims.Iat == nil {
		return nil, errors.New("iat is missing")
	}
	return &providerToken{key: key, issued: time.Unix(*claims.Iat, 0)}, nil
}
