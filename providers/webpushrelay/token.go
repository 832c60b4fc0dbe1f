package webpushrelay

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/vapid"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

const (
	// jwtInvalid is the reason for a VAPID token, or its key, that no push server could accept.
	jwtInvalid = "jwt_invalid"
	// jwtAudience is the reason for a token that is made for another push server.
	jwtAudience = "jwt_audience"
	// jwtExpired is the reason for a token that is no longer valid.
	jwtExpired = "jwt_expired"
)

const (
	// maxToken is how long a token may be. One of mod_push2 has about 250 bytes.
	maxToken = 4096
	// maxExpiry keeps an absurd exp a valid time. It is in the year 36812.
	maxExpiry = 1 << 40
	// pointSize is the size of an uncompressed P-256 point, RFC 8292 section 3.2.
	pointSize = 65
)

var (
	errHalf     = errors.New("data has only one of jwt and key")
	errKey      = errors.New("data.key is not base64 of an uncompressed P-256 point")
	errToken    = errors.New("data.jwt is not a JSON Web Token with aud and exp")
	errAudience = errors.New("the aud of data.jwt is not the endpoint's origin")
	errExpired  = errors.New("data.jwt has expired")
)

// token is a sender's VAPID token. It is empty if the sender gave none.
type token struct {
	// authorization is the header by RFC 8292 section 3.
	authorization string
	expires       time.Time
}

// token returns the sender's token, or the outcome if no push server could accept it at an endpoint. Only the push server verifies the
// signature.
func (m *message) token(to *url.URL, now time.Time) (*token, providers.Outcome) {
	if m.JWT == "" && m.Key == "" {
		return new(token), providers.Outcome{}
	}
	key, err := ece.Decode(m.Key)
	claims, ok := readClaims(m.JWT)
	switch {
	case m.JWT == "" || m.Key == "":
		return nil, providers.Dropped(jwtInvalid, errHalf)
	case err != nil || len(key) != pointSize || key[0] != 4:
		return nil, providers.Dropped(jwtInvalid, errKey)
	case !ok:
		return nil, providers.Dropped(jwtInvalid, errToken)
	case !claims.isFor(to):
		return nil, providers.Dropped(jwtAudience, errAudience)
	}
	expires := time.Unix(int64(min(*claims.Exp, maxExpiry)), 0)
	if expires.Sub(now) < time.Second { // TTL has whole seconds
		return nil, providers.Dropped(jwtExpired, errExpired)
	}
	return &token{"vapid t=" + m.JWT + ", k=" + base64.RawURLEncoding.EncodeToString(key), expires}, providers.Outcome{}
}

// claims are those of a VAPID token, RFC 8292 section 2.
type claims struct {
	Aud json.RawMessage `json:"aud"`
	Exp *float64        `json:"exp"`
}

// readClaims returns the claims of a token, and whether it has the form of a token. Such a text has no character that could add something to
// a header.
func readClaims(token string) (c claims, ok bool) {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return c, false
	}
	var payload []byte
	for i, part := range parts {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || part == "" || strings.ContainsAny(part, "\r\n") {
			return c, false
		}
		if i == 1 {
			payload = decoded
		}
	}
	return c, lenient.Unmarshal(payload, &c) == nil && c.Exp != nil && len(c.Aud) > 0
}

// isFor reports whether the audience contains the origin of an endpoint. It is a text, or a list of them (RFC 7519 section 4.1.3).
func (c *claims) isFor(to *url.URL) bool {
	var list []string
	var one string
	if lenient.Unmarshal(c.Aud, &one) == nil {
		list = []string{one}
	} else if lenient.Unmarshal(c.Aud, &list) != nil {
		return false
	}
	for _, audience := range list {
		u, err := endpoint.Parse(audience)
		if err == nil && vapid.Origin(u) == vapid.Origin(to) && strings.Trim(u.RequestURI(), "/") == "" {
			return true
		}
	}
	return false
}
