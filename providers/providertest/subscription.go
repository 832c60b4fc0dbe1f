package providertest

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
)

// Subscription is what a browser or a UnifiedPush app with encryption registers, and the private half that it keeps.
type Subscription struct {
	// Endpoint is where pushes go; it is relative until the service knows its origin.
	Endpoint string
	// Path is the endpoint's path.
	Path string
	// P256dh is the public key and Auth the authentication secret, both base64url, unpadded.
	P256dh, Auth string

	private *ecdh.PrivateKey
	auth    []byte
	// server is the application server key that the subscription is restricted to (RFC 8292 section 4); empty if to none.
	server string
}

// Decrypt opens the body of a push request.
func (s Subscription) Decrypt(body []byte) ([]byte, error) {
	return Decrypt(body, s.private, s.auth)
}

// The user agent's keys of RFC 8291 appendix A: anyone may know them, so that a demonstration may print them.
const (
	demoPrivate = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
	demoAuth    = "BTBZMqHH6r4Tts7J_aSIgg"
)

// Subscribe makes a new subscription that any application server may use.
func (s *PushService) Subscribe() Subscription { return s.SubscribeFor("") }

// SubscribeFor makes a new subscription restricted to one application server key, as a browser's applicationServerKey does:
// base64url, unpadded. A push to it needs VAPID with that key.
func (s *PushService) SubscribeFor(applicationServerKey string) Subscription {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // never with crypto/rand
	}
	auth := make([]byte, 16)
	_, _ = rand.Read(auth) // never fails, see its documentation
	return s.subscribe("/webpush/"+rand.Text(), private, auth, applicationServerKey)
}

// SubscribeDemo makes the subscription at /webpush/<name> with the user agent's keys of RFC 8291 appendix A: the same in each run,
// and public. For demonstrations only.
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

// Endpoint opens the plain UnifiedPush endpoint /up/<topic> and returns its URL.
func (s *PushService) Endpoint(topic string) string {
	path := "/up/" + topic
	s.add(path, nil)
	return s.Origin() + path
}
