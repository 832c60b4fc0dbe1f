package unifiedpush

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted is %v", encrypted), func(t *testing.T) {
			t.Parallel()
			sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
			decrypt, leaves := sub.Decrypt, []string{"default_payload", "client_name", "org.example.data", "tweaks"}
			if !encrypted { // the push server can read it
				decrypt, leaves = nil, []string{"client_name"}
			}
			providertest.Run(t, providertest.Suite{
				New: func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
					d := providers.Device{Pushkey: baseURL + "/up/very-secret"}
					if encrypted {
						d.Data = data(sub, `{"p256dh": %q, "auth": %q}`)
					}
					return newProvider(t, caFile), pushOf(alert(), d)
				},
				Rings:          rings,
				Decrypt:        decrypt,
				DataThatLeaves: leaves,

				Secrets:  []string{"very-secret", sub.Auth, "a < b"},
				Unusable: unusable(sub),
				Usable:   usable(sub),
				Verdicts: []providertest.Verdict{
					{Name: "200 is delivered", Status: 200, Kind: providers.KindDelivered},
					{Name: "201 is delivered", Status: 201, Kind: providers.KindDelivered},
					{Name: "202 is delivered", Status: 202, Kind: providers.KindDelivered},
					{Name: "404 is suspected", Status: 404, Kind: providers.KindSuspected, Reason: "not_found"},
					{
						Name: "404 with autopush's word for a dead one is rejected", Status: 404,
						Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"code":404,"errno":102,"error":"Not Found"}`,
						Kind: providers.KindRejected, Reason: "not_found", Documented: "autopush-rs, docs/src/errors.md",
					},
					{Name: "410 is rejected", Status: 410, Kind: providers.KindRejected, Reason: "gone", Documented: "RFC 9110, section 15.5.11"},
					{Name: "400 is dropped", Status: 400, Kind: providers.KindDropped},
					{Name: "403 is the operator's", Status: 403, Kind: providers.KindMisconfigured},
					{Name: "413 twice is dropped", Status: 413, Kind: providers.KindDropped, Reason: "too_large"},
					{
						Name: "429 is for later", Status: 429, Header: http.Header{"Retry-After": {"7"}},
						Kind: providers.KindRetry, Cause: providers.CauseDevice, RetryAfter: 7 * time.Second,
					},
					{
						Name: "507 is for later", Status: 507,
						Kind: providers.KindRetry, Cause: providers.CauseDevice, Reason: "no_subscriber", RetryAfter: time.Minute,
					},
					{
						Name: "406 with a Retry-After is for later", Status: 406, Header: http.Header{"Retry-After": {"7"}},
						Kind: providers.KindRetry, Cause: providers.CauseDevice, Reason: "throttled", RetryAfter: 7 * time.Second,
					},
				},
			})
		})
	}
}

// rings reports whether an app has an event to show.
func rings(_ *http.Request, body []byte) bool {
	var message struct {
		Notification struct {
			EventID string `json:"event_id"`
		} `json:"notification"`
	}
	return json.Unmarshal(body, &message) != nil || message.Notification.EventID != ""
}

// unusable are devices that no push can reach.
func unusable(sub providertest.Subscription) (devices []providers.Device) {
	for _, pushkey := range []string{
		"", "very-secret", "http://push.example/very-secret", "https://user:very-secret@push.example/", "https://push.invalid/very-secret",
		"https://push.example:99999/very-secret", "https:///very-secret", "ftp://push.example/very-secret",
	} {
		devices = append(devices, providers.Device{Pushkey: pushkey})
	}
	for _, data := range []string{
		`{"p256dh": "` + sub.P256dh + `"}`, `{"auth": "` + sub.Auth + `"}`, `{"keys": {"p256dh": "x", "auth": "` + sub.Auth + `"}}`,
		`{"keys": 1}`, `{"p256dh": 1, "auth": []}`,
	} {
		devices = append(devices, providers.Device{Pushkey: "https://push.example/very-secret", Data: []byte(data)})
	}
	return devices
}

// usable are devices that another configuration could reach.
func usable(sub providertest.Subscription) (devices []providers.Device) {
	for _, pushkey := range []string{
		"https://localhost:8443/up/very-secret", "https://10.0.0.1/very-secret", "https://[::1]/very-secret", "https://ntfy/very-secret",
		"https://ntfy.local/very-secret", "https://ntfy.internal/very-secret", "https://abc.onion/very-secret",
		"https://push.example:25/very-secret",
	} {
		encrypted := providers.Device{Pushkey: pushkey, Data: data(sub, `{"p256dh": %q, "auth": %q}`)}
		devices = append(devices, providers.Device{Pushkey: pushkey}, encrypted)
	}
	return devices
}

// data are a pusher's data with the keys of a subscription.
func data(sub providertest.Subscription, format string) json.RawMessage {
	return fmt.Appendf(nil, format, sub.P256dh, sub.Auth)
}

// bench is a push service and a provider that reaches it.
func bench(t *testing.T) (*providertest.PushService, *Provider) {
	t.Helper()
	service := providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true})
	server := providertest.NewTLSServer(t, service)
	service.SetOrigin(server.URL)
	t.Cleanup(service.Close)
	return service, newProvider(t, server.CAFile)
}

// only is the one message that an endpoint got.
func only(t *testing.T, s *providertest.PushService, endpoint string) providertest.Message {
	t.Helper()
	messages := s.Messages(endpoint)
	if len(messages) != 1 {
		t.Fatalf("%d messages arrived", len(messages))
	}
	return messages[0]
}

func TestAPushInTheClearArrives(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	endpoint := service.Endpoint("topic")
	want(t, p.Push(t.Context(), pushOf(alert(), providers.Device{Pushkey: endpoint})), providers.KindDelivered, "delivered")
	m := only(t, service, endpoint)
	wantIDs(t, m.Body)
	if m.Encrypted || m.VAPID || m.Urgency != "high" || m.Topic != "" || m.TTL < 3590 || m.TTL > 3600 {
		t.Errorf("the message is %+v", m)
	}
}

func TestAPushForASubscriptionIsEncryptedAndSigned(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	for _, format := range []string{
		`{"p256dh": %q, "auth": %q}`, `{"keys": {"p256dh": %q, "auth": %q}}`, `{"keys": null, "p256dh": %q, "auth": %q}`,
	} {
		sub := service.SubscribeFor(p.sender.PublicKey())
		d := providers.Device{Pushkey: sub.Endpoint, Data: data(sub, format)}
		if p.DefaultContent(&d) != providers.ContentFull {
			t.Errorf("%s: the content is reduced", format)
		}
		want(t, p.Push(t.Context(), pushOf(alert(), d)), providers.KindDelivered, "delivered")
		m := only(t, service, sub.Endpoint)
		wantIDs(t, m.Body)
		if !m.Encrypted || !m.VAPID || m.Subject != "mailto:ops@example.org" {
			t.Errorf("%s: the message is %+v", format, m)
		}
	}
}

func TestOnlyIDsLeaveInTheClearByDefault(t *testing.T) {
	t.Parallel()
	for _, d := range []string{``, `{}`, `{"format": "event_id_only"}`, `{"p256dh": "half"}`, `{"keys": {}}`} {
		if new(Provider).DefaultContent(&providers.Device{Data: json.RawMessage(d)}) != providers.ContentIDs {
			t.Errorf("with %s, everything leaves", d)
		}
	}
}

// Guards against the faults of ntfy and common-proxies with long notifications.
func TestRegressionNtfyALongNotificationIsShortenedUntilItFits(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	for _, size := range []int{100, 3_500, 5_000, 60_000} { // bytes of the body
		endpoint := service.Endpoint(fmt.Sprint(size))
		sub := service.Subscribe()
		for _, d := range []providers.Device{{Pushkey: endpoint}, {Pushkey: sub.Endpoint, Data: data(sub, `{"p256dh": %q, "auth": %q}`)}} {
			want(t, p.Push(t.Context(), pushOf(long(size), d)), providers.KindDelivered, "delivered")
			m := only(t, service, d.Pushkey)
			wantIDs(t, m.Body)
			if m.Size > 4096 || (m.Encrypted && len(m.Body) > 3993) {
				t.Errorf("the message has %d bytes, %d on the wire", len(m.Body), m.Size)
			}
			if whole := strings.Contains(string(m.Body), `"formatted_body"`); whole != (size < 3_000) && size != 3_500 {
				t.Errorf("%d bytes: all of the content is there: %v", size, whole)
			}
			if x := strings.Count(string(m.Body), "x"); x < min(size, 3_500) {
				t.Errorf("%d bytes: %d of them are left: %s", size, x, m.Body)
			}
		}
	}
}

func TestWhatIsTooLargeForTheServerIsSentAgainWithIDsAlone(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	endpoint := service.Endpoint("topic")
	service.Answer(endpoint, providertest.Answer{Status: 413, Times: 1})
	want(t, p.Push(t.Context(), pushOf(alert(), providers.Device{Pushkey: endpoint})), providers.KindDelivered, "delivered")
	messages := service.Messages(endpoint)
	if len(messages) != 2 {
		t.Fatalf("%d messages arrived", len(messages))
	}
	golden(t, "reduced", messages[1].Body)

	service.Answer(endpoint, providertest.Answer{Status: 413})
	want(t, p.Push(t.Context(), pushOf(alert(), providers.Device{Pushkey: endpoint})), providers.KindDropped, "too_large")
	if n := len(service.Messages(endpoint)); n != 4 {
		t.Errorf("%d messages arrived, want 4", n)
	}
	want(t, p.Push(t.Context(), pushOf(alert().Reduced(), providers.Device{Pushkey: endpoint})), providers.KindDropped, "too_large")
	if n := len(service.Messages(endpoint)); n != 5 {
		t.Errorf("%d messages arrived, want 5: nothing was left to leave out", n)
	}
}

func TestOnlyABadgeUpdateReplacesAnother(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	endpoint := service.Endpoint("topic")
	low := alert()
	low.Prio = providers.PrioLow
	for _, test := range []struct {
		n       *providers.Notification
		topic   bool
		urgency string
	}{{alert(), false, "high"}, {low, false, "low"}, {badge(), true, "low"}, {badge(), true, "low"}} {
		want(t, p.Push(t.Context(), pushOf(test.n, providers.Device{Pushkey: endpoint})), providers.KindDelivered, "delivered")
		m := service.Messages(endpoint)
		if last := m[len(m)-1]; (last.Topic != "") != test.topic || last.Urgency != test.urgency {
			t.Errorf("the topic is %q and the urgency %s, want %+v", last.Topic, last.Urgency, test)
		}
	}
	if m := service.Messages(endpoint); m[2].Topic != m[3].Topic {
		t.Error("two badge updates have two topics")
	}
}

func TestADeviceThatCannotBeReachedIsUnusableWithoutAsking(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	endpoint := service.Endpoint("secret")
	sub := service.Subscribe()
	tests := []struct{ name, pushkey, data, reason string }{
		{"plain HTTP", strings.Replace(endpoint, "https:", "http:", 1), "", "bad_endpoint"},
		{"user information", strings.Replace(endpoint, "https://", "https://user:secret@", 1), "", "bad_endpoint"},
		{"no URL", "secret", "", "bad_endpoint"},
		{"nothing", "", "", "bad_endpoint"},
		{"p256dh alone", endpoint, `{"p256dh": "` + sub.P256dh + `"}`, "bad_subscription"},
		{"auth alone", endpoint, `{"auth": "` + sub.Auth + `"}`, "bad_subscription"},
		{"one half, only below keys", endpoint, `{"keys": {"auth": "` + sub.Auth + `"}}`, "bad_subscription"},
		{"one half here, one there", endpoint, string(data(sub, `{"p256dh": %q, "keys": {"auth": %q}}`)), "bad_subscription"},
		{"keys that are not keys", endpoint, `{"p256dh": "secret", "auth": "secret"}`, "bad_subscription"},
		{"keys that are not strings", endpoint, `{"p256dh": 1, "auth": true}`, "bad_subscription"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := p.Push(t.Context(), pushOf(alert(), providers.Device{Pushkey: test.pushkey, Data: json.RawMessage(test.data)}))
			want(t, o, providers.KindRejected, test.reason)
			if !o.Unusable || o.Err == nil || strings.Contains(o.Err.Error(), "secret") {
				t.Errorf("the outcome is %+v", o)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(service.Messages(endpoint)); n != 0 {
			t.Errorf("%d messages arrived", n)
		}
	})
}

func TestTheGatewayIsAdvertised(t *testing.T) {
	t.Parallel()
	if got := new(Provider).Advertise(); got != (providers.Advertisement{UnifiedPush: true}) {
		t.Errorf("before the key is known: %+v", got)
	}
	_, p := bench(t)
	got := p.Advertise()
	if key, err := base64.RawURLEncoding.DecodeString(got.ApplicationServerKey); err != nil || len(key) != 65 || !got.UnifiedPush {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestAnEndpointAtAnotherPortOfTheOwnSiteIsUnusableAndSaysSo(t *testing.T) {
	t.Parallel()
	p := &Provider{Options: webpushmessage.Options{
		Options: endpoint.Options{Options: network.Options{Proxy: "none"}}, VapidSubject: "mailto:ops@example.org",
	}}
	t.Cleanup(func() { _ = p.Cleanup() })
	if err := p.Provision(newContext(t)); err != nil {
		t.Fatal(err)
	}
	site := providers.Site{Host: "push.example.org", Port: "443"}
	for _, d := range []providers.Device{{Pushkey: "https://push.example.org:8080/up/secret"}} {
		var why *providers.UnusableError
		err := p.Usable(&d, site)
		if !errors.As(err, &why) || why.Reason != "bad_endpoint" || !strings.Contains(err.Error(), "port 8080") ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("the error is %v", err)
		}
		if err := p.Usable(&d, providers.Site{Host: "push.example.org", Port: "8080"}); err != nil {
			t.Errorf("at the site's own port: %v", err)
		}
	}
}

// WNS answers a TTL of 0 with 400 (https://github.com/SherClockHolmes/webpush-go/issues/66).
func TestTheTTLIsNeverZero(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	now := time.Now()
	p.sender.Now = func() time.Time { return now }
	for name, test := range map[string]struct {
		left time.Duration
		want int
	}{
		"half-a-second": {time.Second / 2, 1}, "nothing": {0, 1}, "less": {-time.Second, 1}, "a-second": {time.Second, 1},
		"two": {2*time.Second + 1, 2},
	} {
		push := pushOf(alert(), providers.Device{Pushkey: service.Endpoint(name)})
		push.Expires = now.Add(test.left)
		want(t, p.Push(t.Context(), push), providers.KindDelivered, "delivered")
		if m := only(t, service, push.Device.Pushkey); m.TTL != test.want {
			t.Errorf("with %s left, the TTL is %d", test.left, m.TTL)
		}
	}
}
