package webpush

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = "/push/very-secret"
	providertest.Run(t, providertest.Suite{
		New: func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
			at := sub
			at.Endpoint = baseURL + sub.Endpoint
			return newProvider(t, caFile), pushOf(alert(), device(at, ""))
		},
		Rings:          rings,
		Decrypt:        sub.Decrypt,
		DataThatLeaves: []string{"default_payload"},

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
				Kind: providers.KindRejected, Reason: "not_found", Documented: "autopush-rs, docs/src/errors.md",
			},
			{
				Name: "400 with Apple's word for a dead one is rejected", Status: 400,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"reason":"BadWebPushToken"}`,
				Kind: providers.KindRejected, Reason: "not_found", Documented: "seen: see pushword's appleReasons",
			},
			{
				Name: "400 with Apple's word for another key is the operator's", Status: 400,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"reason":"VapidPkHashMismatch"}`,
				Kind: providers.KindMisconfigured, Reason: "vapid_key_mismatch", RetryAfter: time.Hour,
			},
			{Name: "410 is rejected", Status: 410, Kind: providers.KindRejected, Reason: "gone", Documented: "RFC 9110, section 15.5.11"},
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

// rings reports whether a service worker has an event to show.
func rings(_ *http.Request, body []byte) bool {
	var message struct {
		EventID string `json:"event_id"`
	}
	return json.Unmarshal(body, &message) != nil || message.EventID != ""
}

// unusable are devices that no push can reach.
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

// device returns a device registered as Sygnal expects it, with further members of data.
func device(sub providertest.Subscription, members string) providers.Device {
	return providers.Device{Pushkey: sub.P256dh, Data: fmt.Appendf(nil, `{"endpoint": %q, "auth": %q%s}`, sub.Endpoint, sub.Auth, members)}
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
	t.Run("each room has its own topic", func(t *testing.T) {
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

// Guards against losing the whole text of a message that is too large: 990 emoji, or a large member beside a short body.
func TestAMessageThatIsTooLargeKeepsWhatClientsShow(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	long := func(size int) string { return strings.Repeat("x", size) }
	const named = `"room_name":"Ops"`
	tests := []struct {
		name, content, members string
		room                   string // its name, if it is another
		body                   string // its beginning
		cut                    bool
		has, lacks             []string
	}{
		{
			name: "a large unknown member", content: fmt.Sprintf(`{"msgtype": "m.text", "body": "hello", "org.example": %q}`, long(5_000)),
			body: "hello", has: []string{`"msgtype":"m.text"`, named}, lacks: []string{"org.example"},
		},
		{
			name: "many of them", content: `{"msgtype": "m.text", "body": "hello"` + strings.Repeat(`, "`+long(90)+`": {"a": [1]}`, 50) +
				fmt.Sprintf(`, "info": {"x": %q}}`, long(60_000)), body: "hello", has: []string{named}, lacks: []string{"info", long(90)},
		},
		{
			name: "990 emoji", content: fmt.Sprintf(`{"msgtype": "m.text", "body": %q}`, strings.Repeat("😀", 990)),
			body: strings.Repeat("😀", 900), cut: true, has: []string{`"msgtype":"m.text"`, named, `"sender_display_name":"Alice"`},
		},
		{
			name: "990 quotation marks and 990 line breaks", content: `{"body": "` + strings.Repeat(`\"\n`, 990) + `", "x": "` + long(3_000) + `"}`,
			members: fmt.Sprintf(`, "default_payload": {"session_id": %q}`, long(2_500)),
			body:    strings.Repeat("\"\n", 200), cut: true, lacks: []string{`"x":`},
		},
		{
			name: "990 control characters", content: `{"body": "` + strings.Repeat(`\u0001`, 990) + `"}`,
			body: strings.Repeat("\x01", 590), cut: true,
		},
		{
			name: "emoji beside a large default_payload", content: fmt.Sprintf(`{"body": %q}`, strings.Repeat("😀", 990)),
			members: fmt.Sprintf(`, "default_payload": {"session_id": %q}`, long(3_000)),
			body:    strings.Repeat("😀", 150), cut: true, has: []string{long(3_000), named},
		},
		{
			name: "a default_payload that leaves no room", content: `{"body": "hello"}`,
			members: fmt.Sprintf(`, "default_payload": {"session_id": %q}`, long(3_850)),
			has:     []string{long(3_850), `"event_id":"$event"`}, lacks: []string{"content", "Alice", "m.room.message"},
		},
		{
			name: "a large name of the room", content: `{"body": "hello", "x": 1}`, room: long(5_000),
			body: "hello", has: []string{`"x":1`, `"sender":"@alice:example.org"`}, lacks: []string{"room_name", "sender_display_name"},
		},
		{
			name: "nothing that is shown", content: fmt.Sprintf(`{"org.example": %q}`, long(60_000)),
			has: []string{named}, lacks: []string{"content"},
		},
		{
			name: "a body that is not a text", content: fmt.Sprintf(`{"msgtype": "m.text", "body": [%q]}`, long(5_000)),
			has: []string{`"content":{"msgtype":"m.text"}`},
		},
		{
			name: "an invitation", content: fmt.Sprintf(`{"membership": "invite", "reason": %q}`, long(5_000)),
			has: []string{`"content":{"membership":"invite"}`}, lacks: []string{"reason"},
		},
		{
			name: "a reaction", content: fmt.Sprintf(`{"m.relates_to": {"key": "👍"}, "x": %q}`, long(5_000)),
			has: []string{`"content":{"m.relates_to":{"key":"👍"}}`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sub := service.Subscribe()
			n := alert()
			n.Content = json.RawMessage(test.content)
			if test.room != "" {
				n.RoomName = test.room
			}
			want(t, p.Push(t.Context(), pushOf(n, device(sub, test.members))), providers.KindDelivered, "delivered")
			m := service.Messages(sub.Path)[0]
			var read struct {
				Content struct {
					Body string `json:"body"`
				} `json:"content"`
			}
			if err := json.Unmarshal(m.Body, &read); err != nil || m.Size > 4096 {
				t.Fatalf("%d bytes (%v): %s", m.Size, err, m.Body)
			}
			text := read.Content.Body
			if !strings.HasPrefix(text, test.body) || strings.HasSuffix(text, "…") != test.cut || strings.ContainsRune(text, utf8.RuneError) {
				t.Errorf("the body is %q", text)
			}
			if test.cut && len(m.Body) < 3993-6 { // the longest character in JSON
				t.Errorf("the message has %d bytes, though there is more to say", len(m.Body))
			}
			for _, member := range test.has {
				if !strings.Contains(string(m.Body), member) {
					t.Errorf("%.50s is missing: %s", member, m.Body)
				}
			}
			for _, member := range test.lacks {
				if strings.Contains(string(m.Body), member) {
					t.Errorf("%.50s is there: %s", member, m.Body)
				}
			}
		})
	}
}

func TestAMessageReplacesAPendingOneOfItsRoomIfThePusherAsks(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	sub := service.Subscribe()
	const wish = `, "only_last_per_room": true`
	d, room, another := device(sub, wish), alert(), alert()
	another.RoomID = "!other:example.org"
	topic := p.Replace(room, &d)
	want(t, p.Push(t.Context(), pushOf(room, d)), providers.KindDelivered, "delivered")
	sent := service.Messages(sub.Path)[0].Topic
	if topic == "" || topic != sent || topic != p.Replace(room.Reduced(), &d) || topic == p.Replace(another, &d) {
		t.Errorf("it replaces %q here and %q at the push service", topic, sent)
	}
	account := device(sub, wish+`, "default_payload": {"session_id": 2}`)
	if p.Replace(room, &account) == topic {
		t.Error("one account's replaces another's")
	}
	for name, members := range map[string]string{
		"no wish": "", "a wish that is false": `, "only_last_per_room": false`, "one that is a text": `, "only_last_per_room": "true"`,
		"one in other capitals": `, "Only_Last_Per_Room": true`, "one of somebody else": `, "default_payload": {"only_last_per_room": true}`,
	} {
		d := device(sub, members)
		if got := p.Replace(room, &d); got != "" {
			t.Errorf("%s: it replaces %q", name, got)
		}
	}
	if got := p.Replace(badge(), &d); got != "" {
		t.Errorf("a badge update, which replaces others anyway, replaces %q", got)
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
	sub := providertest.NewPushService(providertest.PushServiceOptions{Origin: "https://push.example"}).Subscribe()
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

// Guards against losing a pusher for an invalid default_payload.
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
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	for _, d := range (subscriber{"https://push.example.org:8080/up/secret", sub.P256dh, sub.Auth}).devices() {
		var why *providers.UnusableError
		err := p.Usable(&d, site)
		if !errors.As(err, &why) || why.Reason != "bad_subscription" || !strings.Contains(err.Error(), "port 8080") ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("the error is %v", err)
		}
		if err := p.Usable(&d, providers.Site{Host: "push.example.org", Port: "8080"}); err != nil {
			t.Errorf("at the site's own port: %v", err)
		}
	}
}
