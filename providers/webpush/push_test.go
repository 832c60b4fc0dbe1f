package webpush

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	sub := providertest.New(providertest.Options{}).Subscribe()
	sub.Endpoint = "/push/very-secret"
	providertest.Run(t, providertest.Suite{
		New: func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
			at := sub
			at.Endpoint = baseURL + sub.Endpoint
			return newProvider(t, caFile), pushOf(alert(), device(at, ""))
		},
		Secrets:  []string{"very-secret", sub.Auth, sub.P256dh, "a < b"},
		Unusable: unusable(sub),
		Usable:   usable(sub),
		Verdicts: []providertest.Verdict{
			{Name: "200 is delivered", Status: 200, Kind: providers.KindDelivered},
			{Name: "201 is delivered", Status: 201, Kind: providers.KindDelivered},
			{Name: "404 is suspected", Status: 404, Kind: providers.KindSuspected, Reason: "not_found"},
			{
				Name: "404 with autopush's word for a dead one is rejected", Status: 404,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"code":404,"errno":102,"error":"Not Found"}`,
				Kind: providers.KindRejected, Reason: "not_found",
			},
			{
				Name: "400 with Apple's word for a dead one is rejected", Status: 400,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"reason":"BadWebPushToken"}`,
				Kind: providers.KindRejected, Reason: "not_found",
			},
			{
				Name: "400 with Apple's word for another key is the operator's", Status: 400,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"reason":"VapidPkHashMismatch"}`,
				Kind: providers.KindMisconfigured, Reason: "vapid_key_mismatch", RetryAfter: time.Hour,
			},
			{Name: "410 is rejected", Status: 410, Kind: providers.KindRejected, Reason: "gone"},
			{Name: "400 is dropped", Status: 400, Kind: providers.KindDropped},
			{Name: "401 is the operator's", Status: 401, Kind: providers.KindMisconfigured},
			{Name: "403 is the operator's", Status: 403, Kind: providers.KindMisconfigured},
			{Name: "413 twice is dropped", Status: 413, Kind: providers.KindDropped, Reason: "too_large"},
			{
				Name: "429 is for later", Status: 429, Header: http.Header{"Retry-After": {"7"}},
				Kind: providers.KindRetry, Cause: providers.CauseDevice, RetryAfter: 7 * time.Second,
			},
			{Name: "503 is for later", Status: 503, Kind: providers.KindRetry},
		},
	})
}

// unusable are devices that nothing can be delivered to.
func unusable(sub providertest.Subscription) []providers.Device {
	at := func(endpoint string) subscriber { return subscriber{endpoint, sub.P256dh, sub.Auth} }
	short := at("https://push.example/very-secret")
	short.auth = "AAAA"
	offCurve := at("https://push.example/very-secret")
	offCurve.p256dh = "B" + strings.Repeat("A", 86)
	devices := []providers.Device{{Pushkey: sub.P256dh}, {Pushkey: `{"endpoint": "https://push.example/very-secret"}`}, {Pushkey: `{`}}
	for _, target := range []subscriber{
		at("http://push.example/very-secret"), at("https://user@push.example/very-secret"), at("https://push.invalid/very-secret"),
		at("https://push.example:99999/very-secret"), at(""), short, offCurve,
	} {
		devices = append(devices, target.devices()...)
	}
	return devices
}

// usable are devices that another configuration could reach.
func usable(sub providertest.Subscription) (devices []providers.Device) {
	for _, endpoint := range []string{
		"https://localhost:8443/up/very-secret", "https://10.0.0.1/very-secret", "https://[::1]/very-secret", "https://ntfy/very-secret",
		"https://ntfy.local/very-secret", "https://ntfy.internal/very-secret", "https://abc.onion/very-secret",
		"https://push.example:25/very-secret",
	} {
		devices = append(devices, subscriber{endpoint, sub.P256dh, sub.Auth}.devices()...)
	}
	return devices
}

// subscriber is a subscription, which may be broken.
type subscriber struct{ endpoint, p256dh, auth string }

// devices are both forms of it.
func (s subscriber) devices() []providers.Device {
	return []providers.Device{
		{Pushkey: s.p256dh, Data: fmt.Appendf(nil, `{"endpoint": %q, "auth": %q}`, s.endpoint, s.auth)},
		{Pushkey: fmt.Sprintf(`{"endpoint": %q, "keys": {"p256dh": %q, "auth": %q}}`, s.endpoint, s.p256dh, s.auth)},
	}
}

// device is one that registered as Sygnal wants it, with further members of data.
func device(sub providertest.Subscription, members string) providers.Device {
	return providers.Device{Pushkey: sub.P256dh, Data: fmt.Appendf(nil, `{"endpoint": %q, "auth": %q%s}`, sub.Endpoint, sub.Auth, members)}
}

// bench is a push service and a provider that reaches it.
func bench(t *testing.T) (*providertest.PushService, *Provider) {
	t.Helper()
	service := providertest.New(providertest.Options{RequireVAPID: true})
	server := providertest.NewTLSServer(t, service)
	service.SetOrigin(server.URL)
	t.Cleanup(service.Close)
	return service, newProvider(t, server.CAFile)
}

func TestBothFormsOfASubscriptionAreEncryptedAndSigned(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	forms := map[string]func(providertest.Subscription) providers.Device{
		"Sygnal's": func(s providertest.Subscription) providers.Device { return device(s, "") },
		"a PushSubscription": func(s providertest.Subscription) providers.Device {
			return providers.Device{Pushkey: fmt.Sprintf(` {"endpoint": %q, "expirationTime": null, "keys": {"p256dh": %q, "auth": %q}}`,
				s.Endpoint, s.P256dh, s.Auth)}
		},
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sub := service.SubscribeFor(p.Advertise().ApplicationServerKey)
			want(t, p.Push(t.Context(), pushOf(alert(), form(sub))), providers.KindDelivered, "delivered")
			messages := service.Messages(sub.Path)
			if len(messages) != 1 {
				t.Fatalf("%d messages arrived", len(messages))
			}
			m := messages[0]
			if !m.Encrypted || !m.VAPID || m.Subject != "mailto:ops@example.org" || m.Urgency != "high" || m.Topic != "" || m.TTL < 3590 {
				t.Errorf("the message is %+v", m)
			}
			golden(t, "full", m.Body)
		})
	}
}

func TestWhatAPusherAsksForIsDone(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	other := alert()
	other.RoomID = "!other:example.org"
	tests := []struct {
		name, members string
		n             *providers.Notification
		kind          providers.Kind
		topic         bool
	}{
		{"events_only wants events", `, "events_only": true`, alert(), providers.KindDelivered, false},
		{"events_only wants no badge", `, "events_only": true`, badge(), providers.KindDropped, false},
		{"a badge replaces another", ``, badge(), providers.KindDelivered, true},
		{"only_last_per_room replaces", `, "only_last_per_room": true`, alert(), providers.KindDelivered, true},
		{"an event replaces none otherwise", `, "only_last_per_room": false`, alert(), providers.KindDelivered, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sub := service.Subscribe()
			if o := p.Push(t.Context(), pushOf(test.n, device(sub, test.members))); o.Kind != test.kind {
				t.Errorf("the outcome is %+v", o)
			}
			for _, m := range service.Messages(sub.Path) { // which checks the alphabet
				if (m.Topic != "") != test.topic {
					t.Errorf("the topic is %q", m.Topic)
				}
			}
		})
	}
	t.Run("each room has a topic of its own", func(t *testing.T) {
		t.Parallel()
		sub := service.Subscribe()
		for _, n := range []*providers.Notification{alert(), other, alert()} {
			want(t, p.Push(t.Context(), pushOf(n, device(sub, `, "only_last_per_room": true`))), providers.KindDelivered, "delivered")
		}
		if m := service.Messages(sub.Path); m[0].Topic != m[2].Topic || m[0].Topic == m[1].Topic {
			t.Errorf("the topics are %s, %s and %s", m[0].Topic, m[1].Topic, m[2].Topic)
		}
	})
}

func TestALongNotificationIsShortenedUntilItFits(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	for _, size := range []int{5_000, 60_000} {
		sub := service.Subscribe()
		n := alert()
		n.Content = fmt.Appendf(nil, `{"org.example.long": %q}`, strings.Repeat("x", size))
		want(t, p.Push(t.Context(), pushOf(n, device(sub, ""))), providers.KindDelivered, "delivered")
		m := service.Messages(sub.Path)[0]
		if m.Size > 4096 || !strings.Contains(string(m.Body), `"room_name":"Ops"`) || strings.Contains(string(m.Body), "content") {
			t.Errorf("the message is %s", m.Body)
		}
	}
}

func TestWhatIsTooLargeForTheServerIsSentAgainWithIDsAlone(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	sub := service.Subscribe()
	service.Answer(sub.Path, providertest.Answer{Status: 413, Times: 1})
	want(t, p.Push(t.Context(), pushOf(alert(), device(sub, `, "default_payload": {"a": 1}`))), providers.KindDelivered, "delivered")
	messages := service.Messages(sub.Path)
	if len(messages) != 2 {
		t.Fatalf("%d messages arrived", len(messages))
	}
	golden(t, "reduced", messages[1].Body)
}

func TestABrokenSubscriptionIsUnusable(t *testing.T) {
	t.Parallel()
	o := new(Provider).Push(t.Context(), pushOf(alert(), providers.Device{Pushkey: "secret", Data: json.RawMessage(`{}`)}))
	want(t, o, providers.KindRejected, "bad_subscription")
	if !o.Unusable {
		t.Error("it is not unusable")
	}
}

func TestBeforeTheKeyIsKnownAPushIsForLater(t *testing.T) {
	t.Parallel()
	sub := providertest.New(providertest.Options{Origin: "https://push.example"}).Subscribe()
	want(t, new(Provider).Push(t.Context(), pushOf(alert(), device(sub, ""))), providers.KindRetry, "starting")
}

func TestASubjectIsRequiredAndAHalfProvisionedProviderCleansUp(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"", "ops@example.org", "mailto:ops@localhost", "mailto:ops@gateway.invalid"} {
		p := new(Provider)
		p.VapidSubject = subject
		err := p.Provision(newContext(t))
		if subject == "" && err == nil { // a site may give it one
			if err = p.Mounted(nil); err == nil || p.Start(t.Context()) == nil {
				t.Error("it starts without a subject")
			}
		}
		if err == nil || !strings.HasPrefix(err.Error(), "vapid_subject") {
			t.Errorf("with %q: %v", subject, err)
		}
		if err := p.Cleanup(); err != nil {
			t.Errorf("Cleanup: %v", err)
		}
	}
}

// Guards against the loss of a pusher for a wish that nobody can fulfil (issue 12).
func TestAWrongDefaultPayloadIsReportedOnceAndThePushesAreDelivered(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	if p.faults == nil {
		t.Fatal("nothing would be reported")
	}
	var reported *observer.ObservedLogs
	p.faults, reported = messagetest.Faults()
	for range 2 {
		sub := service.Subscribe()
		d := device(sub, `, "default_payload": ["secret"]`)
		d.AppID = "org.example"
		want(t, p.Push(t.Context(), pushOf(alert(), d)), providers.KindDelivered, "delivered")
		golden(t, "full", service.Messages(sub.Path)[0].Body)
	}
	messagetest.WantReported(t, reported, "data.default_payload")
}
