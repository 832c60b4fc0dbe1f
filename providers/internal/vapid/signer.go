package vapid

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// life is how long a token is valid; RFC 8292 section 2 allows 24 hours, and a service's clock may be wrong.
	life = 12 * time.Hour
	// origins limits how many tokens are kept: anyone who registers a pusher chooses its origin.
	origins = 1024
)

// Signer makes the Authorization header of Web Push requests. Signing is the most expensive part of a push, so a token is made once for
// each origin and used for half its life (RFC 8292 section 2 allows reuse). It is safe for concurrent use.
type Signer struct {
	key     *Key
	subject string
	tokens  *lru.Cache[string, *token]
}

// token is the header for one origin. Its lock is held while signing, so it is signed once.
type token struct {
	mu     sync.Mutex
	header string
	issued time.Time
}

// NewSigner returns a signer. The subject is the operator's contact, see [ValidateSubject]; an empty subject is left out.
func NewSigner(key *Key, subject string) (*Signer, error) {
	if subject != "" {
		if err := ValidateSubject(subject); err != nil {
			return nil, err
		}
	}
	tokens, err := lru.New[string, *token](origins)
	if err != nil {
		return nil, fmt.Errorf("making the cache of VAPID tokens: %w", err)
	}
	return &Signer{key: key, subject: subject, tokens: tokens}, nil
}

// Key returns the key that the signer signs with.
func (s *Signer) Key() *Key { return s.key }

// Authorization returns the value of the Authorization header, RFC 8292 section 3, for a push service with that origin: see [Origin].
func (s *Signer) Authorization(origin string, now time.Time) (string, error) {
	t, ok := s.tokens.Get(origin)
	if !ok {
		t = new(token)
		if other, lost, _ := s.tokens.PeekOrAdd(origin, t); lost {
			t = other
		}
	}

	t.mu.Lock()
	defer t.mu.Unlock()
	// A clock that was set back must not keep a token that looks valid for more than the 24 hours that services allow.
	if t.header != "" && now.Sub(t.issued).Abs() < life/2 {
		return t.header, nil
	}
	header, err := s.sign(origin, now)
	if err != nil {
		return "", err
	}
	t.header, t.issued = header, now
	return header, nil
}

func (s *Signer) sign(origin string, now time.Time) (string, error) {
	claims := jwt.MapClaims{"aud": origin, "exp": now.Add(life).Unix()}
	if s.subject != "" {
		claims["sub"] = s.subject
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(s.key.private)
	if err != nil {
		return "", fmt.Errorf("signing the VAPID token: %w", err)
	}
	return "vapid t=" + signed + ", k=" + s.key.public, nil
}

// Origin returns the origin of a push endpoint as a token's audience names it (RFC 8292 section 2, RFC 6454 section 6.1): scheme and host
// in lower case, and the port unless it is the scheme's default.
func Origin(endpoint *url.URL) string {
	scheme, host, port := strings.ToLower(endpoint.Scheme), strings.ToLower(endpoint.Hostname()), endpoint.Port()
	switch {
	case port != "" && (scheme != "https" || port != "443") && (scheme != "http" || port != "80"):
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return scheme + "://" + host
}
