package e2e

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// handset is a user's device: what its app registers, and its push service.
type handset struct {
	device
	t *testing.T
	// requests returns the requests to its push service, and await waits until they are enough.
	requests func() []arrival
	await    func(ctx context.Context, enough func() bool) error
	// fail makes the push service fail once. die makes it answer that the token is dead, and live that it is not.
	fail, die, live func()
}

// arrival is a push as a device gets it.
type arrival struct {
	// payload is APNs' payload, FCM's data, and the body of UnifiedPush and Web Push, decrypted.
	payload []byte
	// urgency is APNs' or FCM's priority, or the Urgency of RFC 8030.
	urgency string
	// form is APNs' push type, or the encoding of the body of UnifiedPush and Web Push.
	form string
	// taken is false if the push service did not take it.
	taken bool
}

// event returns the id of a push's event, or "" if there is none.
func (a arrival) event(t *testing.T) string {
	t.Helper()
	id, ok := member(t, a.payload, "event_id").(string)
	if !ok {
		id, _ = member(t, a.payload, "notification", "event_id").(string)
	}
	return id
}

// taken returns the pushes that the push service took.
func (h handset) taken() (all []arrival) {
	for _, a := range h.requests() {
		if a.taken {
			all = append(all, a)
		}
	}
	return all
}

// arrivals waits for the number of pushes that the device should have by now, and wants no more.
func (h handset) arrivals(n int) (all []arrival) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	err := h.await(ctx, func() bool {
		all = h.taken()
		return len(all) >= n
	})
	if err != nil || len(all) != n {
		h.t.Fatalf("%s: %d pushes arrived, want %d: %v", h.AppID, len(all), n, err)
	}
	return all
}

// wantEvents waits until a device has pushes about these events and no others, in this order.
func (h handset) wantEvents(want ...string) {
	h.t.Helper()
	var got []string
	for _, a := range h.arrivals(len(want)) {
		got = append(got, a.event(h.t))
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("%s: the events are\n%q, want\n%q", h.AppID, got, want)
	}
}

// wantAsked wants a number of requests at the push service, and no more.
func (h handset) wantAsked(n int) {
	h.t.Helper()
	if got := len(h.requests()); got != n {
		h.t.Errorf("%s: the push service got %d requests, want %d", h.AppID, got, n)
	}
}

// pushServices has a push service of each kind.
type pushServices struct {
	t       *testing.T
	apns    *apple
	fcm     *google
	service *pushServer
}

func newPushServices(t *testing.T, change ...func(*apnstest.Options)) pushServices {
	t.Helper()
	return pushServices{t, newApple(t, change...), newGoogle(t), newPushServer(t)}
}

// apps returns four apps, one for each provider, whose names end with a suffix.
func (s pushServices) apps(suffix, options string) string {
	return s.apns.app("org.example.ios"+suffix, "", options) +
		s.fcm.app("org.example.android"+suffix, "", options) +
		strings.Replace(s.service.moreUp("org.example.web"+suffix, options), "unifiedpush {", "webpush {\nvapid_subject mailto:ops@example.org", 1) +
		s.service.moreUp("org.example.up"+suffix, options)
}

// handsets returns four devices, one for each of these apps: Element X on iOS and on Android, a browser, and Element with UnifiedPush. The
// format is that of their pushers. If it is empty, they use the full format. Each test has other devices, because Synapse removes a pushkey
// from its previous user.
func (s pushServices) handsets(suffix, format string) []handset {
	name := rand.Text()
	ios, android := iPhoneOf("org.example.ios"+suffix, name), androidOf("org.example.android"+suffix, name)
	android.Data["default_payload"] = map[string]any{"cs": "client-secret"}
	sub, up := s.service.Subscribe(), upDevice(s.service.Endpoint(name))
	web := webPushDevice(sub)
	web.AppID = "org.example.web" + suffix
	up.AppID, up.Data = "org.example.up"+suffix, map[string]any{}
	for _, d := range []device{ios, android, web, up} {
		if d.Data["format"] = format; format == "" {
			delete(d.Data, "format")
		}
	}
	return []handset{
		s.ofAPNs(ios), s.ofFCM(android), s.ofPushServer(web, sub.Path), s.ofPushServer(up, pathOf(up.Pushkey)),
	}
}

// ofAPNs returns a device that gets its pushes from APNs.
func (s pushServices) ofAPNs(d device) handset {
	token := d.path()
	return handset{
		device: d, t: s.t,
		requests: func() (all []arrival) {
			for _, r := range s.apns.Requests() {
				if r.Token == token {
					all = append(all, arrival{r.Payload, strconv.Itoa(r.Priority), r.PushType, r.Status == http.StatusOK})
				}
			}
			return all
		},
		await: s.apns.Await,
		fail:  func() { s.apns.Answer(token, apnstest.Answer{Reason: "ServiceUnavailable"}) },
		die:   func() { s.apns.Unregister(token, time.Now()) },
		live:  func() { s.apns.Unregister(token, time.Time{}) },
	}
}

// ofFCM returns a device that gets its pushes from FCM.
func (s pushServices) ofFCM(d device) handset {
	return handset{
		device: d, t: s.t,
		requests: func() (all []arrival) {
			for _, r := range s.fcm.Requests() {
				if r.Token != d.Pushkey {
					continue
				}
				if len(r.Violations) > 0 {
					s.t.Errorf("a message to FCM breaks rules: %q", r.Violations)
				}
				priority, _ := member(s.t, r.Raw, "android", "priority").(string)
				all = append(all, arrival{mustMarshal(r.Data), priority, "", r.Status == http.StatusOK})
			}
			return all
		},
		await: func(ctx context.Context, enough func() bool) error {
			for !enough() {
				if _, err := s.fcm.WaitRequest(ctx); err != nil {
					return err
				}
			}
			return nil
		},
		fail: func() {
			unavailable := fcmtest.ErrorFor("UNAVAILABLE")
			unavailable.Times = 1
			s.fcm.Answer(d.Pushkey, unavailable)
		},
		die:  func() { s.fcm.Unregister(d.Pushkey) },
		live: func() { s.fcm.Answer(d.Pushkey) },
	}
}

// ofPushServer returns a device that gets its pushes from a push server's endpoint.
func (s pushServices) ofPushServer(d device, path string) handset {
	return handset{
		device: d, t: s.t,
		requests: func() (all []arrival) {
			for _, m := range s.service.Messages(path) {
				if len(m.Violations) > 0 {
					s.t.Errorf("a push breaks rules: %q", m.Violations)
				}
				form := "in the clear"
				if m.Encrypted {
					form = "encrypted"
				}
				all = append(all, arrival{m.Body, m.Urgency, form, m.Status == http.StatusCreated})
			}
			return all
		},
		await: func(ctx context.Context, enough func() bool) error {
			for !enough() {
				if _, err := s.service.Wait(ctx, path); err != nil {
					return err
				}
			}
			return nil
		},
		fail: func() { s.service.Answer(path, providertest.Answer{Status: http.StatusServiceUnavailable, Times: 1}) },
		die:  func() { s.service.Answer(path, answerGone) },
		live: func() { s.service.Answer(path) },
	}
}
