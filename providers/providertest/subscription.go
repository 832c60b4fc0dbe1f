package providertest

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
)

// Subscription is what a browser, or a UnifiedPush app with encryption, registers. It also has the private keys.
type Subscription struct {
	// Endpoint is the URL for pushes. It is relative if the service had no origin when the subscription was made.
	Endpoint string
	// Path is the endpoint's path.
	Path string
	// P256dh is the public key, and Auth the authentication secret, in base64url without padding.
	P256dh, Auth string

	private *ecdh.PrivateKey
	auth    []byte
	// server is the application server key that the subscription is restricted to (RFC 8292 section 4); empty for no restriction.
	server string
}

// Decrypt decrypts the body of a push request, as a browser does (RFC 8291). It can be a [Suite]'s Decrypt.
func (s Subscription) Decrypt(body []byte) ([]byte, error) {
	return decrypt(body, s.private, s.auth)
}

// The user agent's keys of RFC 8291 appendix A. They are public, so a demonstration may print them.
const (
	demoPrivate = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
	demoAuth    = "BTBZMqHH6r4Tts7J_aSIgg"
)

// Subscribe makes a new subscription that any application server may use.
func (s *PushService) Subscribe() Subscription { return s.SubscribeFor("") }

// SubscribeFor makes a new subscription for one application server key, in base64url without padding. A push to it needs a VAPID token
// with that key, as for a browser's subscription with an applicationServerKey.
func (s *PushService) SubscribeFor(applicationServerKey string) Subscription {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // never with crypto/rand
	}
	auth := make([]byte, 16)
	_, _ = rand.Read(auth) // never fails, see its documentation
	return s.subscribe("/webpush/"+rand.Text(), private, auth, applicationServerKey)
}

// SubscribeDemo makes the subscription at /webpush/<name> with the user agent's keys of RFC 8291 appendix A. They are public and the
// same in every run, so use them only in demonstrations.
func (s *PushService) SubscribeDemo(name string) Subscription {
	scalar, err := base64.RawURLEncoding.DecodeString(demoPrivate)
	if err != nil {
		panic(err)
	}
	private, err := ecdh.P256().NewPrivateKey(scalar)
	if err != nil {
		panic(err)
	}
	auth, err := base64.RawURLEncoding.DecodeString(demoAuth)
	if err != nil {
		panic(err)
	}
	return s.subscribe("/webpush/"+name, private, auth, "")
}

func (s *PushService) subscribe(path string, private *ecdh.PrivateKey, auth []byte, server string) Subscription {
	sub := Subscription{
		Endpoint: s.Origin() + path,
		Path:     path,
		P256dh:   base64.RawURLEncoding.EncodeToString(private.PublicKey().Bytes()),
		Auth:     base64.RawURLEncoding.EncodeToString(auth),
		private:  private,
		auth:     auth,
		server:   server,
	}
	s.add(path, &sub)
	return sub
}

// Endpoint makes the plain UnifiedPush endpoint /up/<topic> and returns its URL.
func (s *PushService) Endpoint(topic string) string {
	path := "/up/" + topic
	s.add(path, nil)
	return s.Origin() + path
}
