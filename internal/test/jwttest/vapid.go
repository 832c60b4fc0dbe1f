package jwttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// What is wrong with a header or a token of RFC 8292. Other errors are about the token's form.
var (
	ErrScheme   = errors.New("the scheme is not vapid")
	ErrMissing  = errors.New("t or k is missing")
	ErrKey      = errors.New("k is not base64url of 65 bytes that are a point on the curve")
	ErrAudience = errors.New("aud is not this service's origin")
	ErrExpired  = errors.New("exp is in the past")
	ErrTooLong  = errors.New("exp is more than 24 hours away")
)

// VAPID is what an Authorization header of RFC 8292 section 3 contains.
type VAPID struct {
	// Token is the JWT, and Key the application server's public key in base64url.
	Token, Key string

	public *ecdsa.PublicKey
}

// ParseVAPID reads a header "vapid t=…, k=…". It does not verify the token.
func ParseVAPID(header string) (VAPID, error) {
	scheme, parameters, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "vapid") {
		return VAPID{}, ErrScheme
	}
	values := map[string]string{}
	for parameter := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if _, twice := values[name]; twice {
			return VAPID{}, errors.New("a parameter occurs twice")
		}
		values[name] = value
	}
	v := VAPID{Token: values["t"], Key: values["k"]}
	if v.Token == "" || v.Key == "" {
		return VAPID{}, ErrMissing
	}
	point, err := base64.RawURLEncoding.DecodeString(v.Key)
	if err != nil || len(point) != 65 {
		return VAPID{}, ErrKey
	}
	if v.public, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
		return VAPID{}, ErrKey
	}
	return v, nil
}

// Verify verifies the signature and the claims (RFC 8292 section 2) for the push service with an origin, and returns the subject.
func (v VAPID) Verify(origin string, now time.Time) (subject string, err error) {
	payload, err := Verify(v.Token, v.public)
	if err != nil {
		return "", err
	}
	var claims struct {
		Aud string  `json:"aud"`
		Exp *int64  `json:"exp"`
		Sub *string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", errors.New("the claims are not JSON with a string aud, an integral exp and a string sub")
	}
	if claims.Aud != origin {
		return "", ErrAudience
	}
	if claims.Exp == nil {
		return "", errors.New("exp is missing")
	}
	switch left := time.Unix(*claims.Exp, 0).Sub(now); {
	case left <= 0:
		return "", ErrExpired
	case left > 24*time.Hour:
		return "", ErrTooLong
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
