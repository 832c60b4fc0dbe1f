package fcmtest

import (
	"crypto/rand"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

const (
	tokenPath = "/token"
	maxForm   = 16 << 10
	// maxClockSkew is how far a client's clock may be ahead of the server's.
	maxClockSkew = 5 * time.Minute
)

// scopes are the scopes that allow sends, https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send.
var scopes = []string{
	"https://www.googleapis.com/auth/firebase.messaging",
	"https://www.googleapis.com/auth/cloud-platform",
}

// AnswerToken programs the answers to token requests, unless they break a rule. Each answer is given as many times as its Times says, and
// then the answer is a token again. An answer without a Status is the usual one. Without answers, it is a token at once.
func (f *Service) AnswerToken(answers ...providertest.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokenAnswers = append([]providertest.Answer(nil), answers...)
}

// Expire ends every access token issued so far: sends with them are answered 401 UNAUTHENTICATED.
func (f *Service) Expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.tokens)
}

// TokenRequests returns how many requests for an access token arrived, including refused ones.
func (f *Service) TokenRequests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tokenRequests
}

func (f *Service) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	answer := f.checkTokenRequest(r)
	f.mu.Lock()
	f.tokenRequests++
	if answer == nil {
		answer = f.issue()
	}
	f.mu.Unlock()
	f.respond(w, r, answer)
}

// issue returns the answer to a request that breaks no rule, usually an access token. The lock is held.
func (f *Service) issue() *providertest.Answer {
	answer, left := take(f.tokenAnswers)
	f.tokenAnswers = left
	if !usual(answer) {
		return &answer
	}
	token := "ya29." + rand.Text() + rand.Text()
	f.tokens[token] = f.options.Now().Add(f.options.TokenLife)
	answer = jsonAnswer(http.StatusOK, map[string]any{
		"access_token": token, "expires_in": int(f.options.TokenLife / time.Second), "token_type": "Bearer",
	})
	return &answer
}

// live reports whether an access token is valid.
func (f *Service) live(token string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	end, ok := f.tokens[token]
	return ok && f.options.Now().Before(end)
}

// refuseToken returns an error of the token endpoint, RFC 6749 section 5.2.
func refuseToken(status int, code, description string) *providertest.Answer {
	a := jsonAnswer(status, map[string]string{"error": code, "error_description": description})
	return &a
}

func invalidGrant(description string) *providertest.Answer {
	return refuseToken(http.StatusBadRequest, "invalid_grant", description)
}

// checkTokenRequest returns the answer to a token request that breaks a rule; nil if it breaks none.
func (f *Service) checkTokenRequest(r *http.Request) *providertest.Answer {
	if r.Method != http.MethodPost {
		return refuseToken(http.StatusMethodNotAllowed, "invalid_request", "The method is not POST")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return refuseToken(http.StatusBadRequest, "invalid_request", "The content type is not application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return refuseToken(http.StatusBadRequest, "invalid_request", "The form cannot be read")
	}
	for name, values := range r.PostForm { // RFC 6749 section 3.2
		if len(values) > 1 {
			return refuseToken(http.StatusBadRequest, "invalid_request", "Parameter not allowed more than once: "+name)
		}
	}
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		return f.checkAssertion(r.PostForm.Get("assertion"), "https://"+r.Host+r.URL.Path)
	case "refresh_token":
		return f.checkRefresh(r.PostForm)
	default:
		return refuseToken(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+grant)
	}
}

// assertionClaims are the claims of an assertion,
// https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests.
type assertionClaims struct {
	jwt.RegisteredClaims

	Scope string `json:"scope"`
}

// checkAssertion checks a JWT for a token endpoint.
func (f *Service) checkAssertion(assertion, endpoint string) *providertest.Answer {
	f.mu.Lock()
	credentials := f.keys()
	f.mu.Unlock()

	var claims assertionClaims
	known := false
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(assertion, &claims, func(token *jwt.Token) (any, error) {
		for _, c := range credentials {
			if c.email != claims.Issuer || c.deleted {
				continue
			}
			known = true
			if c.keyID == token.Header["kid"] && !c.revoked {
				return c.key, nil
			}
		}
		return nil, errors.New("there is no such key")
	})
	switch {
	case err == nil:
		return f.checkClaims(claims, endpoint)
	case errors.Is(err, jwt.ErrTokenMalformed):
		return invalidGrant("Invalid JWT: the assertion cannot be read")
	case errors.Is(err, jwt.ErrTokenUnverifiable) && !known:
		return invalidGrant("Invalid grant: account not found")
	default:
		return invalidGrant("Invalid JWT Signature.")
	}
}

func (f *Service) checkClaims(claims assertionClaims, endpoint string) *providertest.Answer {
	if !slices.Equal(claims.Audience, jwt.ClaimStrings{endpoint}) {
		return invalidGrant("Invalid JWT: Failed audience check.")
	}
	if claims.ExpiresAt == nil || claims.IssuedAt == nil {
		return invalidGrant("Invalid JWT: iat (issued at) or exp (expiration time) is not set.")
	}
	now := f.options.Now()
	if claims.ExpiresAt.Sub(claims.IssuedAt.Time) > time.Hour || !claims.ExpiresAt.After(claims.IssuedAt.Time) ||
		!claims.ExpiresAt.After(now) || claims.IssuedAt.After(now.Add(maxClockSkew)) {
		return invalidGrant("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. " +
			"Check your iat and exp values in the JWT claim.")
	}
	if !slices.ContainsFunc(strings.Fields(claims.Scope), func(scope string) bool { return slices.Contains(scopes, scope) }) {
		return refuseToken(http.StatusBadRequest, "invalid_scope", "Invalid OAuth scope or ID token audience provided.")
	}
	return nil
}

// keys returns the keys of the service account. The lock is held.
func (f *Service) keys() []credential {
	var keys []credential
	for _, c := range f.credentials {
		if c.key != nil {
			keys = append(keys, *c)
		}
	}
	return keys
}

// checkRefresh checks a refresh token (RFC 6749 section 6).
func (f *Service) checkRefresh(form url.Values) *providertest.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.credentials {
		switch {
		case c.key != nil || c.client != form.Get("client_id"):
		case c.secret != form.Get("client_secret"):
			return refuseToken(http.StatusUnauthorized, "invalid_client", "Unauthorized")
		case c.revoked:
			return invalidGrant("Token has been expired or revoked.")
		case c.token != form.Get("refresh_token"):
			return invalidGrant("Bad Request")
		default:
			return nil
		}
	}
	return refuseToken(http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
}
