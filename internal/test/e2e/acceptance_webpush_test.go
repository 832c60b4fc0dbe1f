package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Web Push, W01 to W07 of docs/acceptance.md. The push service decrypts with the subscriber's keys and verifies the VAPID token. It
// records mistakes as violations of the message.

func TestW01_TheMessageDecryptsAndTheTokenVerifies(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	sygnal, whole := s.service.Subscribe(), s.service.Subscribe()
	for endpoint, d := range map[string]device{
		sygnal.Endpoint: webPushDevice(sygnal),
		whole.Endpoint: {AppID: "org.example.web", Pushkey: string(mustMarshal(map[string]any{
			"endpoint": whole.Endpoint, "expirationTime": nil, "keys": map[string]any{"p256dh": whole.P256dh, "auth": whole.Auth},
		}))},
	} {
		wantBody(t, s.hs.notify(alert("$1", d)), nothingRejected)
		m, n := s.push(endpoint)
		if !m.Encrypted || !m.VAPID || m.Subject != "mailto:ops@example.org" {
			t.Errorf("encrypted %v, signed for %v by %q", m.Encrypted, m.VAPID, m.Subject)
		}
		content, _ := n["content"].(map[string]any)
		if n["event_id"] != "$1" || n["room_id"] != "!room:hs.test" || content["body"] != "the secret content" || n["unread"] != 2.0 {
			t.Errorf("the subscriber reads %s", m.Body)
		}
		aud, exp := vapidClaims(t, m)
		if aud != s.service.Origin() {
			t.Errorf("the token is for %q, not for %q", aud, s.service.Origin())
		}
		if left := exp.Sub(m.Time); left <= 0 || left > 24*time.Hour {
			t.Errorf("the token expires in %s", left)
		}
	}
}

// vapidClaims are the audience and the expiry in a push's token.
func vapidClaims(t *testing.T, m providertest.Message) (aud string, exp time.Time) {
	t.Helper()
	_, token, _ := strings.Cut(m.Header.Get("Authorization"), "t=")
	parts := strings.Split(token, ".")
	if len(parts) < 3 {
		t.Fatalf("no token in %q", m.Header.Get("Authorization"))
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var fields struct {
		Aud string `json:"aud"`
		Exp int64  `json:"exp"`
	}
	if err := json.Unmarshal(claims, &fields); err != nil {
		t.Fatal(err)
	}
	return fields.Aud, time.Unix(fields.Exp, 0)
}

func TestW02_TTLUrgencyAndTopicSayHowMuchAPushMatters(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global(`rejected memory
	app org.example.web.brief {
		webpush {
			vapid_subject https://example.org/contact
			trusted_ca `+service.CAFile+`
			allow_private 127.0.0.0/8
			proxy none
		}
		ttl 1m
		wait 20s
	}`), "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}
	event := func(room, prio string) func(...device) string {
		return func(d ...device) string {
			return compose(map[string]any{"event_id": "$1", "room_id": room, "type": "m.room.message", "prio": prio}, d)
		}
	}
	update := func(d ...device) string { return badge(1, d...) }
	lastPerRoom := map[string]any{"only_last_per_room": true}
	tests := []struct {
		name    string
		appID   string
		data    map[string]any
		body    func(...device) string
		ttl     int
		urgency string
		topic   bool
	}{
		{"an alert", "org.example.web", nil, event("!a", "high"), 86_400, "high", false},
		{"an alert that can wait", "org.example.web", nil, event("!a", "low"), 86_400, "low", false},
		{"a badge update", "org.example.web", nil, update, 86_400, "low", true},
		{"the app's ttl", "org.example.web.brief", nil, event("!a", "high"), 60, "high", false},
		{"only the last of a room", "org.example.web", lastPerRoom, event("!a", "high"), 86_400, "high", true},
		{"only the last of another room", "org.example.web", lastPerRoom, event("!b", "high"), 86_400, "high", true},
	}
	topics := make(map[string]string)
	for _, tt := range tests {
		sub := s.service.Subscribe()
		d := webPushDevice(sub)
		d.AppID = tt.appID
		for name, value := range tt.data {
			d.Data[name] = value
		}
		wantBody(t, s.hs.notify(tt.body(d)), nothingRejected)
		m := s.pushes(sub.Endpoint, 1)[0]
		if m.TTL > tt.ttl || m.TTL < tt.ttl-30 || m.Urgency != tt.urgency || (m.Topic != "") != tt.topic {
			t.Errorf("%s: TTL %d, Urgency %s, Topic %q", tt.name, m.TTL, m.Urgency, m.Topic)
		}
		if other, taken := topics[m.Topic]; taken && m.Topic != "" {
			t.Errorf("%s has the topic of %s", tt.name, other)
		}
		topics[m.Topic] = tt.name
	}

	// The same room again replaces the one before.
	sub := s.service.Subscribe()
	d := webPushDevice(sub)
	d.Data["only_last_per_room"] = true
	for _, id := range []string{"$1", "$2"} {
		wantBody(t, s.hs.notify(alert(id, d)), nothingRejected)
	}
	if m := s.pushes(sub.Endpoint, 2); m[0].Topic == "" || m[0].Topic != m[1].Topic {
		t.Errorf("topics %q and %q", m[0].Topic, m[1].Topic)
	}
}

// A proxy may answer 404, too, so a 404 needs a second look: see early_test.go.
func TestW03_GoneIsRejectedAndNotFoundIsSuspected(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for status, want := range map[int]func(reply, string){
		http.StatusGone:     func(r reply, pushkey string) { wantBody(t, r, rejecting(pushkey)) },
		http.StatusNotFound: func(r reply, _ string) { wantUnavailable(t, r) },
	} {
		sub := s.service.Subscribe()
		s.service.Answer(sub.Endpoint, providertest.Answer{Status: status})
		for _, event := range []string{"$1", "$2"} {
			want(s.hs.notify(alert(event, webPushDevice(sub))), sub.P256dh)
		}
		s.pushes(sub.Endpoint, 1)
	}
}

func TestW04_WhatIsTooLargeIsShortenedAndSentOnceMore(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	tooLarge := providertest.Answer{Status: http.StatusRequestEntityTooLarge, Times: 1}
	for name, answers := range map[string][]providertest.Answer{
		"the shorter one fits":     {tooLarge},
		"the shorter one does not": {tooLarge, tooLarge},
	} {
		sub := s.service.Subscribe()
		s.service.Answer(sub.Endpoint, answers...)
		wantBody(t, s.hs.notify(compose(map[string]any{
			"event_id": "$1", "room_id": "!room:hs.test", "type": "m.room.message", "content": map[string]any{"body": strings.Repeat("long ", 180)},
		}, []device{webPushDevice(sub)})), nothingRejected)
		m := s.pushes(sub.Endpoint, 2)
		if m[1].Size >= m[0].Size {
			t.Errorf("%s: %d bytes, then %d", name, m[0].Size, m[1].Size)
		}
		var short map[string]any
		if err := json.Unmarshal(m[1].Body, &short); err != nil || short["event_id"] != "$1" || short["content"] != nil {
			t.Errorf("%s: shortened to %s", name, m[1].Body)
		}
	}
}

func TestW05_AnOverloadedPushServiceIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for _, tt := range []struct {
		status      int
		retryAfter  string
		least, most int
	}{
		{429, "120", 120, 120},
		{503, "7", 7, 7},
		{503, time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat), 500, 600},
		{429, "", 1, 60},
		{500, "", 1, 60},
		{503, "soon", 1, 60},
		{429, "999999999", 3600, 3600}, // a homeserver is not silenced for longer than an hour
	} {
		sub := s.service.Subscribe()
		answer := providertest.Answer{Status: tt.status, Times: 1}
		if tt.retryAfter != "" {
			answer.Header = http.Header{"Retry-After": {tt.retryAfter}}
		}
		s.service.Answer(sub.Endpoint, answer)
		r := s.hs.notify(alert("$1", webPushDevice(sub)))
		wantUnavailable(t, r)
		if after, _ := strconv.Atoi(r.Header.Get("Retry-After")); after < tt.least || after > tt.most {
			t.Errorf("%d with Retry-After %q is answered with %d", tt.status, tt.retryAfter, after)
		}
		wantBody(t, s.hs.notify(alert("$1", webPushDevice(sub))), nothingRejected)
		wantBody(t, s.hs.notify(alert("$1", webPushDevice(sub))), nothingRejected) // delivered once
		s.pushes(sub.Endpoint, 2)
	}
}

func TestW06_WhatIsNoSubscriptionIsRejectedWithoutTheNetwork(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	sub := s.service.Subscribe()
	for name, change := range map[string]func(*device){
		"no auth":      func(d *device) { delete(d.Data, "auth") },
		"no endpoint":  func(d *device) { delete(d.Data, "endpoint") },
		"no data":      func(d *device) { d.Data = nil },
		"no p256dh":    func(d *device) { d.Pushkey = "key" },
		"http":         func(d *device) { d.Data["endpoint"] = strings.Replace(sub.Endpoint, "https:", "http:", 1) },
		"only the URL": func(d *device) { d.Pushkey, d.Data = sub.Endpoint, nil },
	} {
		d := webPushDevice(sub)
		change(&d)
		if wantBody(t, s.hs.notify(alert("$1", d)), rejecting(d.Pushkey)); t.Failed() {
			t.Fatal(name)
		}
	}
	if n := s.service.Connections(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	// The pushkey is still valid.
	wantBody(t, s.hs.notify(alert("$1", webPushDevice(sub))), nothingRejected)
	s.pushes(sub.Endpoint, 1)
}

func TestW07_EventsOnlyWantsNoBadgeUpdates(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for i, tt := range []struct {
		value  any
		pushes int
	}{{true, 1}, {false, 2}, {"true", 2}, {nil, 2}} {
		sub := s.service.Subscribe()
		d := webPushDevice(sub)
		d.Data["events_only"] = tt.value
		wantBody(t, s.hs.notify(badge(3, d)), nothingRejected)
		wantBody(t, s.hs.notify(alert(fmt.Sprint("$", i), d)), nothingRejected)
		s.pushes(sub.Endpoint, tt.pushes)
	}
}

// A browser cancels a subscription that gets pushes without a notification to show, and the next event is lost as well: Firefox 153 did so
// at the 25th badge update, three times of three; for Safari see https://webkit.org/blog/12945/meet-web-push/.
func TestABrowserIsNotWokenForBadgeUpdates(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	byDefault := strings.Replace(service.global("rejected memory"), "badges on\n", "", 1)
	for name, tt := range map[string]struct {
		config string
		pushes int
	}{
		"by default":                         {byDefault, 1},
		"where the operator wants them":      {service.global("rejected memory"), 21},
		"where the operator says so":         {strings.Replace(service.global("rejected memory"), "badges on", "badges with_events", 1), 1},
		"where the operator wants no counts": {strings.Replace(service.global("rejected memory"), "badges on", "badges off", 1), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := startGateway(t, tt.config, "matrix_push")
			s := scene{t, service, gateway, gateway.homeserver()}
			sub := s.service.Subscribe()
			d := webPushDevice(sub)
			for unread := range 20 {
				wantBody(t, s.hs.notify(badge(unread, d)), nothingRejected)
			}
			wantBody(t, s.hs.notify(alert("$1", d)), nothingRejected)
			received := s.pushes(sub.Endpoint, tt.pushes)
			var message struct {
				EventID string `json:"event_id"`
				Unread  *int   `json:"unread"`
			}
			if err := json.Unmarshal(received[len(received)-1].Body, &message); err != nil || message.EventID != "$1" ||
				(message.Unread != nil) != !strings.Contains(tt.config, "badges off") {
				t.Errorf("the event arrived as %s", received[len(received)-1].Body)
			}
		})
	}
}

// A page knows its app_id, but not the operator's pattern. The app's key is not the gateway's own.
func TestAPageAndAPersonFindTheKeyOfAnAppID(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := newProcess(t)
	file := filepath.Join(gateway.dir, "vapid.pem")
	gateway.ask("", "vapid-keygen", file).want(t, 0, "Public key: ")
	pages := strings.Replace(service.moreUp("org.example.pages.*", "wait 20s"), "unifiedpush {",
		"webpush {\nvapid_subject mailto:ops@example.org\nvapid_key_file "+file, 1)
	gateway.start(gatewayConfig(service.global("rejected memory\n"+pages), "matrix_push"))
	get := func(appID string) (document struct {
		WebPush map[string]struct {
			ApplicationServerKey string `json:"application_server_key"`
		} `json:"webpush"`
		UnifiedPush struct {
			ApplicationServerKey string `json:"application_server_key"`
		} `json:"unifiedpush"`
	},
	) {
		t.Helper()
		r, err := gateway.homeserver().do(http.MethodGet, gateway.url()+"?app_id="+appID, "")
		if err != nil || r.Status != http.StatusOK || r.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Fatalf("it is answered %d %s, %v", r.Status, r.Body, err)
		}
		if err := json.Unmarshal([]byte(r.Body), &document); err != nil {
			t.Fatal(err)
		}
		return document
	}
	const appID = "org.example.pages.1"
	key := get(appID).WebPush[appID].ApplicationServerKey
	sub := service.SubscribeFor(key)
	d := webPushDevice(sub)
	d.AppID = appID
	s := scene{t, service, gateway, gateway.homeserver()}
	wantBody(t, s.hs.notify(alert("$1", d)), nothingRejected)
	s.pushes(sub.Endpoint, 1)

	shared := get("org.example.web").WebPush["org.example.web"].ApplicationServerKey
	if up := get("org.example.up").UnifiedPush.ApplicationServerKey; up == "" || up != shared || up == key {
		t.Errorf("the keys are %q, %q and %q", key, shared, up)
	}
	for asked, want := range map[string]string{appID: key, "org.example.pages.*": key, "org.example.web": shared, "org.example.up": shared} {
		if r := gateway.running("", "vapid-key", asked); r.out != want+"\n" || r.code != 0 {
			t.Errorf("the command prints %+v for %s, not %s", r, asked, want)
		}
	}
	gateway.running("", "vapid-key").want(t, 0, "APP  org.example.pages.*\n  PROVIDER                webpush\n  APPLICATION SERVER KEY  "+key+"\n",
		"APP  org.example.up\n  PROVIDER                unifiedpush\n  APPLICATION SERVER KEY  "+shared+"\n")
	gateway.running("", "vapid-key", "org.example.other").want(t, 1, `no app serves "org.example.other": the configured apps are org.example.pages.*, org.example.up, org.example.web`)
	r, err := gateway.homeserver().do(http.MethodGet, gateway.url()+"?app_id=org.example.other", "")
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, r, http.StatusNotFound, "M_NOT_FOUND")
}

func TestABrowserSubscribesWithTheKeyOfTheGETDocument(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	config := func(more string) string {
		return gatewayConfig(service.global("rejected memory\n"+more), "matrix_push")
	}
	gateway := newProcess(t)
	gateway.start(config(""))
	key := func() string {
		r, err := gateway.homeserver().do(http.MethodGet, gateway.url(), "")
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			WebPush map[string]struct {
				ApplicationServerKey string `json:"application_server_key"`
			} `json:"webpush"`
		}
		if err := json.Unmarshal([]byte(r.Body), &document); err != nil {
			t.Fatal(err)
		}
		return document.WebPush["org.example.web"].ApplicationServerKey
	}

	first := key()
	sub := service.SubscribeFor(first)
	wantAccepted := func(when, event string, pushes int) {
		t.Helper()
		if k := key(); k != first {
			t.Errorf("%s the key is %q, not %q", when, k, first)
		}
		s := scene{t, service, gateway, gateway.homeserver()}
		wantBody(t, s.hs.notify(alert(event, webPushDevice(sub))), nothingRejected)
		s.pushes(sub.Endpoint, pushes)
	}
	wantAccepted("at first", "$1", 1)
	if err := gateway.load(config("max_devices 7")); err != nil {
		t.Fatal(err)
	}
	wantAccepted("after a reload", "$2", 2)
	gateway.kill()
	gateway.start(config(""))
	wantAccepted("after a restart", "$3", 3)
}
