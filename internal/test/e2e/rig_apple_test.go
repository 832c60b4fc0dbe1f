package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

const (
	appleKeyID  = "ABC123DEFG"
	appleTeamID = "TEAM123456"
	bundleID    = "org.example.ios"
)

// stateless is a gateway that keeps nothing. The homeserver must repeat what is not delivered.
const stateless = "rejected memory\noutbox off\n"

// apple is APNs on loopback, with a key that it accepts.
type apple struct {
	*apnstest.Service
	key     *ecdsa.PrivateKey
	keyFile string
	// expected has the texts of violations that a test causes on purpose.
	expected string
}

// newApple starts APNs. A request that breaks one of its rules fails the test.
func newApple(t *testing.T, change ...func(*apnstest.Options)) *apple {
	t.Helper()
	key, p8 := apnstest.NewKey(t)
	options := apnstest.Options{Keys: []apnstest.Key{
		{KeyID: appleKeyID, TeamID: appleTeamID, Public: &key.PublicKey, Topics: []string{bundleID}},
	}}
	for _, f := range change {
		f(&options)
	}
	a := &apple{Service: apnstest.New(t, options), key: key, keyFile: writeSecret(t, "AuthKey.p8", p8)}
	t.Cleanup(func() {
		for _, r := range a.Requests() {
			canaries.authorized(r.Header)
		}
		for _, v := range a.Violations() {
			if a.expected == "" || !strings.Contains(v, a.expected) {
				t.Errorf("a request to APNs breaks a rule: %s", v)
			}
		}
	})
	return a
}

// reached returns the provider's options for this APNs.
func (a *apple) reached() string {
	return "endpoint " + a.URL + "\ntrusted_ca " + a.CAFile + "\nproxy none"
}

// app returns an app with the key and more options of the provider. The topic is the bundle ID, unless the options have one.
func (a *apple) app(appID, provider, options string) string {
	if !strings.Contains(provider, "topic ") {
		provider += "\ntopic " + bundleID
	}
	return a.appWith(appID, "key_file "+a.keyFile+"\nkey_id "+appleKeyID+"\nteam_id "+appleTeamID+"\n"+provider, options)
}

// appWith returns an app with a credential.
func (a *apple) appWith(appID, provider, options string) string {
	if !strings.Contains(options, "wait ") {
		options += "\nwait 20s"
	}
	return "app " + appID + " {\napns {\n" + provider + "\n" + a.reached() + "\n}\n" + options + "\n}\n"
}

// appleScene is an APNs, a gateway in front of it, and a homeserver that knows the gateway. There are two apps: org.example.ios, and
// org.example.full with `content full`.
type appleScene struct {
	t       *testing.T
	apns    *apple
	gateway *process
	hs      *homeserver
}

func newAppleScene(t *testing.T, more func(*apple) string, change ...func(*apnstest.Options)) appleScene {
	t.Helper()
	a := newApple(t, change...)
	global := stateless + a.app("org.example.ios", "", "") + a.app("org.example.full", "", "content full")
	if more != nil {
		global += more(a)
	}
	gateway := startGateway(t, global, "matrix_push")
	return appleScene{t, a, gateway, gateway.homeserver()}
}

// await waits until APNs is in a state.
func (a *apple) await(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.Await(ctx, condition); err != nil {
		t.Fatal(err)
	}
}

// deviceToken returns the token of a device in the form that Matrix recommends, and its path at APNs.
func deviceToken(name string) (pushkey, path string) {
	sum := sha256.Sum256([]byte(name))
	return base64.StdEncoding.EncodeToString(sum[:]), hex.EncodeToString(sum[:])
}

// path returns the device token of a device as APNs gets it.
func (d device) path() string {
	token, err := base64.StdEncoding.DecodeString(d.Pushkey)
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(token)
}

// elementXData is what Element X iOS registers.
func elementXData() map[string]any {
	return map[string]any{"format": "event_id_only", "default_payload": map[string]any{
		"aps":                                   map[string]any{"mutable-content": 1, "alert": map[string]any{"loc-key": "Notification", "loc-args": []any{}}},
		"pusher_notification_client_identifier": "client",
	}}
}

// iPhone is a device with Element X.
func iPhone(name string) device { return iPhoneOf("org.example.ios", name) }

// iPhoneOf is a device with another app that registers as Element X does.
func iPhoneOf(appID, name string) device {
	pushkey, _ := deviceToken(name)
	return device{AppID: appID, Pushkey: pushkey, PushkeyTS: at(1_700_000_000), Data: elementXData()}
}

// in returns the scene for a subtest.
func (s appleScene) in(t *testing.T) appleScene {
	s.t, s.hs = t, &homeserver{t: t, client: s.hs.client, url: s.hs.url}
	return s
}

// pushes returns the pushes that APNs took for a device, and wants n of them. After a 200, the push has already arrived.
func (s appleScene) pushes(d device, n int) []apnstest.Push {
	s.t.Helper()
	return s.apns.taken(s.t, d.path(), n)
}

// taken returns the pushes for a device token, and wants n of them.
func (a *apple) taken(t *testing.T, path string, n int) (pushes []apnstest.Push) {
	t.Helper()
	for _, p := range a.Pushes() {
		if p.Token == path {
			pushes = append(pushes, p)
		}
	}
	if len(pushes) != n {
		t.Fatalf("%d pushes arrived, want %d; violations: %q", len(pushes), n, a.Violations())
	}
	return pushes
}

// requests returns all requests for a device, whatever their answers.
func (s appleScene) requests(d device) (requests []apnstest.Request) {
	for _, r := range s.apns.Requests() {
		if r.Token == d.path() {
			requests = append(requests, r)
		}
	}
	return requests
}

// delivered notifies the gateway, which rejects nothing, and returns the device's only push.
func (s appleScene) delivered(body string, d device) apnstest.Push {
	s.t.Helper()
	wantBody(s.t, s.hs.notify(body), nothingRejected)
	return s.pushes(d, 1)[0]
}

// newAppleOf starts an APNs whose device tokens are for one app, and whose key is also for another one. So APNs does not refuse the wrong
// topic itself.
func newAppleOf(t *testing.T, bundle string) *apple {
	t.Helper()
	a := newApple(t, func(o *apnstest.Options) {
		o.Keys[0].Topics = append(o.Keys[0].Topics, otherBundleID)
		o.DeviceTopic = bundle
	})
	a.expected = "was not made for apns-topic"
	return a
}

// evidence returns the homeserver's log and APNs' log. "Not for the topic" does not mean that a device token is dead.
func (a *apple) evidence(v *evidence) *evidence {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pushes = nil
	for _, r := range a.Requests() {
		var payload struct {
			EventID string `json:"event_id"`
		}
		if err := json.Unmarshal(r.Payload, &payload); err != nil {
			v.t.Fatalf("%s: %v", r.Payload, err)
		}
		v.pushes = append(v.pushes, checker.Push{
			Time: r.Time, Device: a.pushkey(r.Token), Event: payload.EventID, Taken: r.Status == http.StatusOK, Dead: r.Status == http.StatusGone,
		})
	}
	return v
}

// pushkey returns the pushkey of a token.
func (a *apple) pushkey(token string) string {
	var raw []byte
	if _, err := fmt.Sscanf(token, "%x", &raw); err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func iPhones(appID string, n int) (devices []device) {
	for i := range n {
		devices = append(devices, iPhoneOf(appID, fmt.Sprint(appID, i)))
	}
	return devices
}
