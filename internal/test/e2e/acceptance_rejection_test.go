package e2e

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Rejections, R01 to R12, R14 and R16 of docs/acceptance.md. R13 is in topic_test.go, R15 in acceptance_operator_test.go.

func TestR01_ADeadSubscriptionIsRejectedAndNotAskedForAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for _, d := range []device{upDevice(s.service.Endpoint("phone")), webPushDevice(s.service.Subscribe())} {
		endpoint := d.Pushkey
		if e, ok := d.Data["endpoint"].(string); ok {
			endpoint = e
		}
		s.service.Answer(endpoint, answerGone)
		wantBody(t, s.hs.notify(alert("$1", d)), rejecting(d.Pushkey))
		wantBody(t, s.hs.notify(alert("$2", d)), rejecting(d.Pushkey))
		s.pushes(endpoint, 1)
	}
}

func TestR02_ARejectionSurvivesARestart(t *testing.T) {
	t.Parallel()
	s, config := newSceneOf(t, "rejected file")
	d := s.dead("phone")
	s.gateway.kill()
	s.gateway.start(config)
	wantBody(t, s.gateway.homeserver().notify(alert("$2", d)), rejecting(d.Pushkey))
	s.pushes(d.Pushkey, 1)
}

func TestR03_ARejectionSurvivesAReload(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"memory", "file"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s, config := newSceneOf(t, "rejected "+store)
			d := s.dead("phone")
			if err := s.gateway.load(strings.Replace(config, "rejected "+store, "rejected "+store+"\nmax_devices 7", 1)); err != nil {
				t.Fatal(err)
			}
			wantBody(t, s.gateway.homeserver().insist(alert("$2", d)), rejecting(d.Pushkey))
			s.pushes(d.Pushkey, 1)
		})
	}
}

func TestR04_ADeadPushkeyKeepsBeingListed(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	d := s.dead("phone")
	s.service.Answer(d.Pushkey) // the push service would accept a push again
	for _, body := range []string{
		alert("$condemned", d), alert("$2", d), badge(3, d), badge(0, d), alert("$THIS_IS_A_FAKE_EVENT_ID", d), alert("$3", d), badge(3, d),
	} {
		wantBody(t, s.hs.notify(body), rejecting(d.Pushkey))
	}
	s.pushes(d.Pushkey, 1)
}

func TestR05_ANewerRegistrationIsDeliveredAndTheRecordKept(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	stale := s.dead("phone")
	s.service.Answer(stale.Pushkey)
	wantBody(t, s.hs.notify(alert("$2", registered(stale, at(*stale.PushkeyTS+1)))), nothingRejected)
	s.pushes(stale.Pushkey, 2)
	// Another homeserver still has the registration that died.
	wantBody(t, s.hs.notify(alert("$3", stale)), rejecting(stale.Pushkey))
	s.pushes(stale.Pushkey, 2)
}

func TestR06_WhatIsNotNewerThanTheCondemnedRegistrationIsRejected(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	d := s.dead("phone")
	s.service.Answer(d.Pushkey)
	for i, ts := range []*int64{d.PushkeyTS, at(*d.PushkeyTS * 1000), at(*d.PushkeyTS - 1), at(1), nil} {
		wantBody(t, s.hs.notify(alert(fmt.Sprint("$", i), registered(d, ts))), rejecting(d.Pushkey))
	}
	s.pushes(d.Pushkey, 1)
}

func TestR07_ARejectionIsForOneAppIDOnly(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\n"+service.moreUp("org.example.other*", "")), "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}
	d := s.dead("phone")
	s.service.Answer(d.Pushkey)
	other := d
	for i, appID := range []string{"org.example.other", "org.example.other.two"} { // two apps with the same pattern
		other.AppID = appID
		wantBody(t, s.hs.notify(alert("$2", other)), nothingRejected)
		s.pushes(d.Pushkey, i+2)
	}
	wantBody(t, s.hs.notify(alert("$2", d)), rejecting(d.Pushkey))
	s.pushes(d.Pushkey, 3)
}

func TestR08_OnlyTheBadDevicesAreListed(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\n"+service.moreUp("org.example.other", "")), "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}

	gone, good, sub := upDevice(service.Endpoint("gone")), upDevice(service.Endpoint("good")), service.Subscribe()
	service.Answer(gone.Pushkey, answerGone)
	unknown := device{AppID: "unknown", Pushkey: "key"}
	wantBody(t, s.hs.notify(alert("$1", gone, good, unknown, webPushDevice(sub))), rejecting(gone.Pushkey, unknown.Pushkey))
	for _, endpoint := range []string{gone.Pushkey, good.Pushkey, sub.Endpoint} {
		s.pushes(endpoint, 1)
	}

	// A homeserver drops every pusher with a listed pushkey, so one living app keeps it off the list.
	half := s.dead("half")
	living := half
	living.AppID = "org.example.other"
	service.Answer(half.Pushkey)
	wantBody(t, s.hs.notify(alert("$2", half, living)), nothingRejected)
	s.pushes(half.Pushkey, 2)
	service.Answer(half.Pushkey, answerGone)
	wantBody(t, s.hs.notify(alert("$3", half, living)), rejecting(half.Pushkey))
	s.pushes(half.Pushkey, 3)
}

func TestR09_APushSubscriptionAsPushkeyIsEchoedByteForByte(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	sub := s.service.Subscribe()
	// Neither the order of its members, nor its spaces, nor an escape may change.
	pushkey := ` { "keys":{"auth":"` + sub.Auth + `=="  , "p256dh":"` + sub.P256dh + `="}, "expirationTime":null, "ü":"\u00fc<&>", "endpoint":"` +
		strings.Replace(sub.Endpoint, "https://", "HTTPS://", 1) + `#%7e" }`
	s.service.Answer(sub.Endpoint, answerGone)
	for _, event := range []string{"$1", "$2"} {
		r := s.hs.notify(alert(event, device{AppID: "org.example.web", Pushkey: pushkey, PushkeyTS: at(1)}))
		if r.Status != http.StatusOK || len(r.Rejected) != 1 || r.Rejected[0] != pushkey {
			t.Errorf("answered %d %s", r.Status, r.Body)
		}
	}
	s.pushes(sub.Endpoint, 1)
}

func TestR10_AnUnknownAppIsRejected(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	for i, appID := range []string{"org.example", "org.example.up.dev", "ORG.EXAMPLE.UP", "org.example.*", "*"} {
		r := s.hs.notify(alert(fmt.Sprint("$", i), device{AppID: appID, Pushkey: endpoint}))
		wantBody(t, r, rejecting(endpoint))
	}
	s.pushes(endpoint, 0)
	// Nothing was stored: once the app is configured, its devices are served.
	if err := s.gateway.load(gatewayConfig(s.service.global("rejected memory\n"+s.service.moreUp("org.example", "")), "matrix_push")); err != nil {
		t.Fatal(err)
	}
	hs, again := s.gateway.homeserver(), alert("$0", device{AppID: "org.example", Pushkey: endpoint})
	r, err := hs.try(again)
	if err != nil { // the connection belonged to the old configuration: a homeserver sends the request again
		r = hs.notify(again)
	}
	wantBody(t, r, nothingRejected)
	s.pushes(endpoint, 1)
}

func TestR11_AnOutageOfThePushServiceNeverRejects(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\n"+service.moreUp("org.example.hasty", "wait 300ms")), "matrix_push")
	hs := gateway.homeserver()
	answers := map[string]providertest.Answer{"dropped": {Drop: true}, "a redirect": {Status: 307, Header: http.Header{"Location": {"/gone"}}}}
	for _, status := range []int{401, 403, 408, 425, 429, 500, 502, 503, 504, 507, 599} {
		answers[strconv.Itoa(status)] = providertest.Answer{Status: status, Body: "gone"}
	}
	for name, answer := range answers {
		up, sub := upDevice(service.Endpoint(name)), service.Subscribe()
		for endpoint, d := range map[string]device{up.Pushkey: up, sub.Endpoint: webPushDevice(sub)} {
			service.Answer(endpoint, answer)
			r := hs.notify(alert("$1", d))
			wantUnavailable(t, r)
			if t.Failed() {
				t.Fatalf("%s with %s", name, endpoint)
			}
			service.Answer(endpoint)
			wantBody(t, hs.notify(alert("$1", d)), nothingRejected) // not even remembered
		}
	}

	hanging := upDevice(service.Endpoint("hanging"))
	hanging.AppID = "org.example.hasty"
	service.Answer(hanging.Pushkey, providertest.Answer{Hang: true})
	wantUnavailable(t, hs.notify(alert("$1", hanging)))
}

func TestR11_APushServiceThatCannotBeReachedNeverRejects(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	stranger := providertest.NewTLSServer(t, http.NotFoundHandler())
	misnamed := providertest.NewTLSServer(t, http.NotFoundHandler(), "elsewhere.test")
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for name, endpoint := range map[string]string{
		"the connection is refused":         fmt.Sprintf("https://127.0.0.1:%d/up/phone", freePort(t)),
		"the authority is unknown":          stranger.URL + "/up/phone",
		"the certificate is another host's": misnamed.URL + "/up/phone",
		"the server speaks no TLS":          strings.Replace(plain.URL, "http:", "https:", 1) + "/up/phone",
		"the server hangs up":               "https://" + hangsUp(t) + "/up/phone",
	} {
		sub := s.service.Subscribe()
		sub.Endpoint = endpoint
		for _, d := range []device{upDevice(endpoint), webPushDevice(sub)} {
			for _, event := range []string{"$1", "$1", "$2"} {
				if wantUnavailable(t, s.hs.notify(alert(event, d))); t.Failed() {
					t.Fatal(name)
				}
			}
		}
	}
}

func TestR12_AMisconfiguredGatewayNeverRejects(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	// The subscription is for another VAPID key, like all if the key is lost: the push service answers 403.
	sub := s.service.SubscribeFor(s.service.Subscribe().P256dh)
	for _, event := range []string{"$1", "$2"} {
		wantUnavailable(t, s.hs.notify(alert(event, webPushDevice(sub))))
	}
	for _, m := range s.service.Messages(sub.Endpoint) {
		if m.Status != http.StatusForbidden || len(m.Violations) != 1 {
			t.Errorf("answered %d: %v", m.Status, m.Violations)
		}
	}
	// Nobody else is affected.
	other := s.service.Subscribe()
	wantBody(t, s.hs.notify(alert("$1", webPushDevice(other))), nothingRejected)
	s.pushes(other.Endpoint, 1)
}

func TestR14_AnExpiredRecordIsProbed(t *testing.T) {
	t.Parallel()
	s, config := newSceneOf(t, "rejected file")
	d := s.dead("phone")
	s.service.Answer(d.Pushkey)

	age := func(by time.Duration) {
		s.gateway.kill()
		ageRecords(t, filepath.Join(s.gateway.dir, "caddy", "matrix_push", "rejected.db"), by)
		s.gateway.start(config)
		s.hs = s.gateway.homeserver()
	}

	// After 89 days without a request, the record is still there, and a request keeps it for 90 days more.
	age(89 * 24 * time.Hour)
	wantBody(t, s.hs.notify(alert("$2", d)), rejecting(d.Pushkey))
	s.pushes(d.Pushkey, 1)
	// Without pushkey_ts, the gateway finds out by a probe after a while.
	wantBody(t, s.hs.notify(alert("$2", registered(d, nil))), nothingRejected)
	s.pushes(d.Pushkey, 2)

	age(91 * 24 * time.Hour)
	wantBody(t, s.hs.notify(alert("$3", d)), nothingRejected)
	s.pushes(d.Pushkey, 3)
}

// ageRecords makes every record of a file store older, so the test does not have to wait for three months. The format is that of
// rejected/file/codec.go.
func ageRecords(t *testing.T, file string, by time.Duration) {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("rejected"))
		aged := make(map[string][]byte)
		err := b.ForEach(func(key, value []byte) error {
			rest, out := value[1:len(value)-4], value[:1:1]
			for field := range 6 { // condemned, since, first seen, last seen, probe at, verdicts
				v, n := binary.Uvarint(rest)
				if 2 <= field && field <= 4 {
					v -= uint64(by.Milliseconds())
				}
				out, rest = binary.AppendUvarint(out, v), rest[n:]
			}
			out = append(out, rest...)
			sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, out)
			aged[string(key)] = binary.BigEndian.AppendUint32(out, sum)
			return nil
		})
		if err == nil && len(aged) == 0 {
			t.Error("the store has no record")
		}
		for key, value := range aged {
			if err := b.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestR16_APushkeyIsListedOnce(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\n"+service.moreUp("org.example.other", "")), "matrix_push")
	hs := gateway.homeserver()
	d := upDevice(service.Endpoint("phone"))
	service.Answer(d.Pushkey, answerGone)
	second, third, unknown := d, d, d
	second.Data = map[string]any{"account": 2}
	third.AppID = "org.example.other"
	unknown.AppID = "unknown"
	for _, event := range []string{"$1", "$2"} {
		r := hs.notify(alert(event, d, d, second, third, unknown))
		wantBody(t, r, rejecting(d.Pushkey))
		if n := strings.Count(r.Body, string(mustMarshal(d.Pushkey))); n != 1 {
			t.Errorf("it is listed %d times", n)
		}
	}
}
