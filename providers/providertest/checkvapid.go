package providertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// checkVAPID judges the Authorization header by RFC 8292. It shares no code with the gateway's.
func (s *PushService) checkVAPID(r *http.Request, sub *Subscription, m *Message) (status int, violation string) {
	header := r.Header.Get("Authorization")
	if header == "" {
		// RFC 8292 section 4.2: a restricted subscription wants the token of its application server.
		if sub != nil && (s.options.RequireVAPID || sub.server != "") {
			return http.StatusUnauthorized, "VAPID: there is no Authorization"
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

// verifyVAPID reads "vapid t=…, k=…" (RFC 8292 section 3) and returns who signed.
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
	payload, err := verifyJWT(token, public)
	if err != nil {
		return "", "", err
	}
	subject, err = checkClaims(payload, origin, now)
	return subject, key, err
}

// verifyJWT verifies a JWT (RFC 7519) signed with ES256 (RFC 7518 section 3.4) and returns its claims.
func verifyJWT(token string, public *ecdsa.PublicKey) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("t is not a JWT")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return nil, errors.New("t is not base64url")
		}
	}
	var header struct {
		Alg string `json:"alg"`
		Typ string `json:"typ"`
	}
	if err := json.Unmarshal(decoded[0], &header); err != nil {
		return nil, errors.New("the token's header is not JSON")
	}
	if header.Alg != "ES256" {
		return nil, errors.New("alg is not ES256")
	}
	if header.Typ != "" && header.Typ != "JWT" {
		return nil, errors.New("typ is not JWT")
	}
	signature := decoded[2]
	if len(signature) != 64 {
		return nil, errors.New("the signature is not 64 bytes")
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(public, hash[:], r, s) {
		return nil, errors.New("the signature is wrong")
	}
	return decoded[1], nil
}

// checkClaims judges the claims by RFC 8292 section 2 and returns the subject.
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
		return "", errors.New("exp is over")
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
