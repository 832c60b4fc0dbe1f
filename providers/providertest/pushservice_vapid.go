package providertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
)

// checkVAPID checks the Authorization header by RFC 8292. It shares no code with the gateway.
func (s *PushService) checkVAPID(r *http.Request, sub *Subscription, m *Message) (status int, violation string) {
	header := r.Header.Get("Authorization")
	if header == "" {
		// RFC 8292 section 4.2: a restricted subscription requires the token of its application server.
		if sub != nil && (s.options.RequireVAPID || sub.server != "") {
			return http.StatusUnauthorized, "VAPID: the Authorization header is missing"
		}
		return 0, ""
	}
	subject, key, err := verifyVAPID(header, s.originOf(r), s.options.Now())
	if err == nil && sub != nil && sub.server != "" && sub.server != key {
		err = errors.New("k is not the key that the subscription was made for")
	}
	if err != nil {
		return http.StatusForbidden, "VAPID: " + err.Error()
	}
	m.VAPID, m.Subject = true, subject
	return 0, ""
}

// verifyVAPID reads "vapid t=…, k=…" (RFC 8292 section 3), and returns the subject and the key that signed.
func verifyVAPID(header, origin string, now time.Time) (subject, key string, err error) {
	scheme, parameters, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "vapid") {
		return "", "", errors.New("the scheme is not vapid")
	}
	values := map[string]string{}
	for parameter := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if _, twice := values[name]; twice {
			return "", "", errors.New("a parameter occurs twice")
		}
		values[name] = value
	}
	token, key := values["t"], values["k"]
	if token == "" || key == "" {
		return "", "", errors.New("t or k is missing")
	}
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil || len(point) != 65 {
		return "", "", errors.New("k is not base64url of 65 bytes")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return "", "", errors.New("k is not a point on the curve")
	}
	payload, err := jwttest.Verify(token, public)
	if err != nil {
		return "", "", err
	}
	subject, err = checkClaims(payload, origin, now)
	return subject, key, err
}

// checkClaims checks the claims by RFC 8292 section 2 and returns the subject.
func checkClaims(payload []byte, origin string, now time.Time) (string, error) {
	var claims struct {
		Aud string  `json:"aud"`
		Exp *int64  `json:"exp"`
		Sub *string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", errors.New("the claims are not JSON with a string aud, an integral exp and a string sub")
	}
	if claims.Aud != origin {
		return "", errors.New("aud is not this service's origin")
	}
	if claims.Exp == nil {
		return "", errors.New("exp is missing")
	}
	switch left := time.Unix(*claims.Exp, 0).Sub(now); {
	case left <= 0:
		return "", errors.New("exp is in the past")
	case left > 24*time.Hour:
		return "", errors.New("exp is more than 24 hours away")
	}
	if claims.Sub == nil {
		return "", nil
	}
	address, isMail := strings.CutPrefix(*claims.Sub, "mailto:")
	host, isURL := strings.CutPrefix(*claims.Sub, "https://")
	if strings.ContainsAny(*claims.Sub, " <>") || (!isMail || !strings.Contains(address, "@")) && (!isURL || host == "") {
		return "", errors.New("sub is neither mailto: with an address nor an https URL")
	}
	return *claims.Sub, nil
}
