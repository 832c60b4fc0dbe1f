package apns

import (
	"crypto/ecdsa"
	"fmt"
	"sync"
	"time"

	"github.com/sideshow/apns2/token"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
)

const (
	// tokenLife is how long a provider token is used: APNs accepts none older than an hour,
	// https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns.
	tokenLife = 40 * time.Minute
	// renewEvery is how often APNs accepts a new one at most (ibid.).
	renewEvery = 20 * time.Minute
)

// signers keeps one signer for each key, shared by every app that uses the key and kept across reloads.
var signers = pooled.NewPool[*signer]()

// signer makes the provider tokens of one key. It is safe for concurrent use.
type signer struct {
	private       *ecdsa.PrivateKey
	keyID, teamID string
	now           func() time.Time

	mu      sync.Mutex
	bearer  string // the token in use
	issued  time.Time
	renewed time.Time // when APNs last found a token expired
}

// takeSigner takes a share of the signer of a key.
func takeSigner(private *ecdsa.PrivateKey, keyID, teamID string) (*pooled.Share[*signer], error) {
	id, err := fingerprint(private)
	if err != nil {
		return nil, err
	}
	return signers.Take(teamID+" "+keyID+" "+id, func() (*signer, error) {
		return &signer{private: private, keyID: keyID, teamID: teamID, now: time.Now}, nil
	})
}

// token returns the token to send now.
func (s *signer) token() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A clock that was set back must not keep a token for longer.
	if s.bearer != "" && s.now().Sub(s.issued).Abs() < tokenLife {
		return s.bearer, nil
	}
	return s.sign()
}

// renew returns a token to replace one that APNs found expired. It is empty if a token was renewed for that reason shortly before: then the
// clock is wrong, and APNs would refuse too many new tokens.
func (s *signer) renew(expired string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bearer != expired {
		return s.bearer, nil // another push was faster
	}
	now := s.now()
	if !s.renewed.IsZero() && now.Sub(s.renewed).Abs() < renewEvery {
		return "", nil
	}
	s.renewed = now
	return s.sign()
}

// sign makes a token. The caller holds the lock, so concurrent pushes share the token.
func (s *signer) sign() (string, error) {
	t := token.Token{AuthKey: s.private, KeyID: s.keyID, TeamID: s.teamID}
	if _, err := t.Generate(); err != nil {
		return "", fmt.Errorf("signing the provider token: %w", err)
	}
	s.bearer, s.issued = t.Bearer, s.now()
	return s.bearer, nil
}
