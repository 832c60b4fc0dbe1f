package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// FCM, F01 to F09 of docs/acceptance.md. The fake knows FCM's schema. It records mistakes as violations of the message.

func TestF01_TheDataAreTextsUnderTheNamesThatClientsRead(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, nil)
	elementX := map[string]any{"format": "event_id_only", "default_payload": map[string]any{"cs": "client-secret"}}
	for name, tt := range map[string]struct {
		data map[string]any
		body func(...device) string
		want string
	}{
		"Element Android": {
			map[string]any{"format": "event_id_only"},
			eventIDOnly,
			`{"event_id":"$1","room_id":"!room:hs.test","prio":"high","unread":"2"}`,
		},
		"Element Android, asked for everything": {
			nil, func(d ...device) string { return alert("$1", d...) },
			`{"event_id":"$1","room_id":"!room:hs.test","prio":"high","unread":"2"}`,
		},
		"Element X Android": {
			elementX, eventIDOnly,
			`{"event_id":"$1","room_id":"!room:hs.test","prio":"high","unread":"2","cs":"client-secret"}`,
		},
		"a badge that is cleared": {
			elementX, func(d ...device) string { return badge(0, d...) }, `{"prio":"high","unread":"0","cs":"client-secret"}`,
		},
		"missed calls": {
			nil, func(d ...device) string {
				return compose(map[string]any{"event_id": "$1", "counts": map[string]any{"missed_calls": 3}}, d)
			}, `{"event_id":"$1","prio":"high","missed_calls":"3"}`,
		},
		"a default_payload of everything": {
			map[string]any{"default_payload": map[string]any{
				"text": "t", "number": 1.5, "yes": true, "null": nil, "object": map[string]any{"a": []int{1}},
				"from": "x", "message_type": "x", "google.x": "x", "gcm.x": "x", "room_id": "!evil", "event_id": "$evil", "unread": 9, "prio": "evil",
			}},
			eventIDOnly,
			`{"event_id":"$1","room_id":"!room:hs.test","prio":"high","unread":"2","text":"t","number":"1.5","yes":"true","object":"{\"a\":[1]}"}`,
		},
	} {
		d := android(name)
		d.Data = tt.data
		m := s.delivered(tt.body(d), d)
		if wantData(t, m, tt.want); t.Failed() {
			t.Fatal(name)
		}
		r := s.sent(d, 1)[0]
		if r.Path != "/v1/projects/demo-project/messages:send" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ya29.") {
			t.Errorf("%s: sent to %s", name, r.Path)
		}
	}
	t.Run("or else left out", func(t *testing.T) {
		s := s.in(t)
		for i, wrong := range []any{nil, "cs", 1, true, []any{}} {
			d := android(fmt.Sprint("wrong", i))
			d.Data = map[string]any{"default_payload": wrong}
			wantData(t, s.delivered(eventIDOnly(d), d), `{"event_id":"$1","room_id":"!room:hs.test","prio":"high","unread":"2"}`)
		}
	})
}

func TestF02_OnlyTheWordForADeadTokenRejects(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, nil)
	gone := android("gone")
	s.fcm.Unregister(gone.Pushkey)
	for _, event := range []string{"$1", "$2"} {
		wantBody(t, s.hs.notify(alert(event, gone)), rejecting(gone.Pushkey))
	}
	s.sent(gone, 1)
	s.fcm.Answer(gone.Pushkey)
	wantBody(t, s.hs.notify(alert("$3", registered(gone, at(1_700_000_001)))), nothingRejected)
	s.messages(gone, 1)

	// If a token has an unknown form, a setting may be the cause, until something was delivered.
	malformed := androidOf("org.example.full", "malformed")
	s.fcm.Answer(malformed.Pushkey, fcmtest.ErrorFor("INVALID_ARGUMENT"))
	wantMisconfigured(t, s.hs.notify(alert("$1", malformed)))
	wantBody(t, s.hs.notify(alert("$1", androidOf("org.example.full", "fine"))), nothingRejected)
	for range 2 {
		wantBody(t, s.hs.notify(alert("$1", malformed)), rejecting(malformed.Pushkey))
	}
	s.sent(malformed, 2)
	// The pushkey stays valid under another app_id.
	wantBody(t, s.hs.notify(alert("$1", androidOf("org.example.android", "malformed"))), rejecting(malformed.Pushkey))
	s.fcm.Answer(malformed.Pushkey)
}

func TestF03_WhatTheOperatorHasToFixRejectsNobody(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, nil)
	wantBody(t, s.hs.notify(alert("$1", android("fine"))), nothingRejected) // a delivery before, which makes no difference
	html := providertest.Answer{Body: "<html>No</html>"}
	for name, tt := range map[string]struct {
		answer providertest.Answer
		sends  int
	}{
		"SENDER_ID_MISMATCH":     {fcmtest.ErrorFor("SENDER_ID_MISMATCH"), 1},
		"THIRD_PARTY_AUTH_ERROR": {fcmtest.ErrorFor("THIRD_PARTY_AUTH_ERROR"), 1},
		"PERMISSION_DENIED":      {fcmtest.ErrorFor("PERMISSION_DENIED"), 1},
		"NOT_FOUND":              {fcmtest.ErrorFor("NOT_FOUND"), 1},
		"an option that is wrong": {
			fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Invalid value", "message.android.ttl"), 1,
		},
		"a 403 of someone else": {providertest.Answer{Status: 403, Body: html.Body}, 1},
		"a 404 of someone else": {providertest.Answer{Status: 404, Body: html.Body}, 1},
	} {
		d := android(name)
		s.fcm.Answer(d.Pushkey, tt.answer)
		for range 2 {
			wantMisconfigured(t, s.hs.notify(alert("$1", d)))
		}
		s.sent(d, 2*tt.sends)
		s.fcm.Answer(d.Pushkey)
		if s.delivered(alert("$1", d), d); t.Failed() {
			t.Fatal(name)
		}
	}
	t.Run("a message that FCM does not like is given up, and its device is not", func(t *testing.T) {
		s := s.in(t)
		d := android("INVALID_ARGUMENT")
		s.fcm.Answer(d.Pushkey, fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Invalid data payload key", "message.data[0].key"))
		wantBody(t, s.hs.notify(alert("$1", d)), nothingRejected)
		s.fcm.Answer(d.Pushkey)
		s.delivered(alert("$2", d), d)
	})
}

func TestF04_AnOverloadedFCMIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, nil)
	coded := func(code, after string) providertest.Answer {
		a := fcmtest.ErrorFor(code)
		if after != "" {
			a.Header.Set("Retry-After", after)
		}
		return a
	}
	for i, tt := range []struct {
		answer      providertest.Answer
		least, most int
	}{
		{coded("QUOTA_EXCEEDED", "30"), 30, 30},
		{coded("QUOTA_EXCEEDED", ""), 60, 60}, // what Google asks for
		{coded("RESOURCE_EXHAUSTED", ""), 60, 60},
		{coded("UNAVAILABLE", "7"), 7, 7},
		{coded("UNAVAILABLE", ""), 1, 60},
		{coded("UNAVAILABLE", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat)), 500, 600},
		{coded("INTERNAL", "999999999"), 3600, 3600},
		{providertest.Answer{Status: 502, Body: "<html>Bad Gateway</html>"}, 1, 60},
		{providertest.Answer{Status: 429}, 1, 60},
		{providertest.Answer{Status: 302, Header: http.Header{"Location": {s.fcm.URL + "/v1/projects/demo-project/messages:send"}}}, 1, 60},
		{providertest.Answer{Drop: true}, 1, 60},
	} {
		d := android(strconv.Itoa(i))
		s.fcm.Answer(d.Pushkey, tt.answer)
		r := s.hs.notify(alert("$1", d))
		wantLater(t, r)
		if got, _ := strconv.Atoi(r.Header.Get("Retry-After")); got < tt.least || got > tt.most {
			t.Errorf("%d with %v is answered with Retry-After %d", tt.answer.Status, tt.answer.Header, got)
		}
		s.sent(d, 1)
		s.fcm.Answer(d.Pushkey)
		for range 2 { // the second one is a duplicate of the first
			wantBody(t, s.hs.notify(alert("$1", d)), nothingRejected)
		}
		s.messages(d, 1)
	}
}

func TestF05_AnAccessTokenIsFetchedOnceAndOnceMoreWhenItIsRefused(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, nil)
	crowd := func(event string) {
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				d := android(strconv.Itoa(i))
				if i%2 == 1 {
					d.AppID = "org.example.full" // of the same account
				}
				r, err := s.hs.try(alert(event, d))
				if err != nil {
					t.Error(err)
					return
				}
				wantBody(t, r, nothingRejected)
			})
		}
		wg.Wait()
	}
	crowd("$1")
	if n := s.fcm.TokenRequests(); n != 1 {
		t.Errorf("the first pushes fetched %d access tokens", n)
	}
	s.fcm.Expire()
	crowd("$2")
	if n := s.fcm.TokenRequests(); n != 2 {
		t.Errorf("there were %d access tokens after one was refused", n)
	}
	if n := len(s.fcm.Messages()); n != 120 {
		t.Errorf("%d messages were accepted", n)
	}

	// If a new access token does not help, the token is not the cause: no more are fetched, and nobody is rejected.
	d := android("refused")
	s.fcm.Answer(d.Pushkey, fcmtest.ErrorFor("UNAUTHENTICATED"))
	for range 5 {
		wantMisconfigured(t, s.hs.notify(alert("$3", d)))
	}
	if n := s.fcm.TokenRequests(); n != 2 {
		t.Errorf("there were %d access tokens", n)
	}
	s.fcm.Answer(d.Pushkey)
	s.delivered(alert("$3", d), d)
}

func TestF06_PriorityAndTTLSayHowMuchAMessageMatters(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, func(g *google) string {
		return g.app("org.example.brief", "", "ttl 90s") +
			g.app("org.example.fixed", "android `{\"ttl\": \"3600s\", \"priority\": \"normal\", \"collapse_key\": \"mine\"}`", "") +
			g.app("org.example.long", "", "ttl 1000h")
	})
	event := func(prio string) func(...device) string {
		return func(d ...device) string {
			return compose(map[string]any{"event_id": "$1", "room_id": "!r", "prio": prio}, d)
		}
	}
	update := func(d ...device) string { return badge(1, d...) }
	const day = 24 * time.Hour
	for i, tt := range []struct {
		appID              string
		body               func(...device) string
		priority, collapse string
		ttl                time.Duration
	}{
		{"org.example.android", event("high"), "high", "", day},
		{"org.example.android", event("low"), "normal", "", day},
		{"org.example.android", event(""), "high", "", day},
		{"org.example.android", update, "normal", "badge", day},
		{"org.example.brief", event("high"), "high", "", 90 * time.Second},
		{"org.example.fixed", event("high"), "high", "mine", time.Hour},
		{"org.example.fixed", update, "normal", "mine", time.Hour},
		{"org.example.long", event("high"), "high", "", 28 * day}, // FCM's longest
	} {
		d := androidOf(tt.appID, strconv.Itoa(i))
		m := s.delivered(tt.body(d), d)
		config := map[string]any{"priority": tt.priority}
		if tt.collapse != "" {
			config["collapse_key"] = tt.collapse
		}
		wantMessage(t, m, tt.ttl, string(mustMarshal(map[string]any{"token": d.Pushkey, "data": m.Data, "android": config})))
	}
}

func TestF07_AMessageIsCutToWhatFits(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, nil)
	size := func(data map[string]string) (n int) {
		for name, value := range data {
			n += len(name) + len(value)
		}
		return n
	}
	for _, text := range []string{"a", "é", "語", "🎈", `"\`, "\x01\n"} {
		body := strings.Repeat(text, 60_000/(len(mustMarshal(text))-2)) // in JSON
		for form, data := range map[string]map[string]any{"Sygnal": nil, "Hedwig": {"data_message": "android"}} {
			d := androidOf("org.example.full", form+text)
			d.Data = data
			m := s.delivered(compose(map[string]any{
				"event_id": "$1", "room_id": "!room:hs.test", "type": "m.room.message", "sender": "@alice:hs.test",
				"room_name": body[:2000], "sender_display_name": "Alice", "counts": map[string]any{"unread": 2},
				"content": map[string]any{"msgtype": "m.text", "body": body, "formatted_body": body, "a": body, "b": body[:600]},
			}, []device{d}), d)
			if n := size(m.Data); n > 4096 || m.Data["event_id"] != "$1" || m.Data["room_id"] != "!room:hs.test" {
				t.Errorf("%s, %q: %d bytes, %.200v", form, text, n, m.Data)
			}
			for name, value := range m.Data {
				if len(value) > 1024 || !utf8.ValidString(value) {
					t.Errorf("%s, %q: %s has %d bytes", form, text, name, len(value))
				}
			}
			if form == "Sygnal" && !strings.HasPrefix(body, strings.TrimSuffix(m.Data["content_body"], "…")) {
				t.Errorf("%q: the body is %.80q", text, m.Data["content_body"])
			}
		}
	}
	t.Run("a default_payload gives way", func(t *testing.T) {
		s := s.in(t)
		d := android("default_payload")
		d.Data["default_payload"] = map[string]any{"huge": strings.Repeat("語", 20_000), "cs": "secret"}
		wantData(t, s.delivered(eventIDOnly(d), d), `{"event_id":"$1","room_id":"!room:hs.test","prio":"high","unread":"2","cs":"secret"}`)
	})
}

func TestF08_FluffyChatsAppIDsAndItsForm(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, func(g *google) string {
		return g.app("chat.fluffy.*", "", "") + g.app("chat.fluffy.fluffychat.full*", "", "content full")
	})
	fluffy := func(appID string, dataMessage any) device {
		d := androidOf(appID, appID)
		d.Data = map[string]any{"format": "event_id_only", "client_name": "FluffyChat-1", "data_message": dataMessage}
		return d
	}
	devices := func(d device) string {
		return string(mustMarshal(string(mustMarshal([]any{map[string]any{
			"app_id": d.AppID, "pushkey": d.Pushkey, "pushkey_ts": *d.PushkeyTS, "data": d.Data,
		}}))))
	}
	wantForm := func(d device, body, want string) {
		t.Helper()
		m := s.delivered(body, d)
		var wanted map[string]any
		wanted, _ = decode(t, []byte(want)).(map[string]any)
		for name, value := range m.Data { // JSON inside JSON, in any order
			text, _ := wanted[name].(string)
			switch name {
			case "devices", "counts", "content", "prio":
				wantJSON(t, []byte(value), text)
				delete(wanted, name)
			default:
				if value != text {
					t.Errorf("%s is %q, want %q", name, value, text)
				}
				delete(wanted, name)
			}
		}
		if len(wanted) > 0 {
			t.Errorf("there is no %v", wanted)
		}
	}

	phone := fluffy("chat.fluffy.fluffychat.ABCDEFGHIJ", "android")
	wantForm(phone, eventIDOnly(phone), `{"event_id":"$1","room_id":"!room:hs.test","prio":"\"high\"","counts":"{\"unread\":2}","devices":`+devices(phone)+`}`)
	tablet := fluffy("chat.fluffy.fluffychat.KLMNOPQRST", true)
	wantForm(tablet, badge(0, tablet), `{"prio":"\"high\"","counts":"{\"unread\":0}","devices":`+devices(tablet)+`}`)
	whole := fluffy("chat.fluffy.fluffychat.full.ABCDEF", "ios")
	wantForm(whole, alert("$1", whole), `{"event_id":"$1","room_id":"!room:hs.test","type":"m.room.message","sender":"@alice:hs.test",
		"sender_display_name":"Alice","room_name":"The room","prio":"\"high\"","counts":"{\"unread\":2}",
		"content":"{\"msgtype\":\"m.text\",\"body\":\"the secret content\"}","devices":`+devices(whole)+`}`)

	// Devices of one request do not learn of each other, and a device that did not ask for the form does not get it.
	first, second := fluffy("chat.fluffy.first", "android"), fluffy("chat.fluffy.second", nil)
	delete(second.Data, "data_message")
	wantBody(t, s.hs.notify(eventIDOnly(first, second)), nothingRejected)
	if m := s.messages(first, 1)[0]; strings.Contains(m.Data["devices"], second.Pushkey) {
		t.Errorf("the devices are %s", m.Data["devices"])
	}
	wantData(t, s.messages(second, 1)[0], `{"event_id":"$1","room_id":"!room:hs.test","prio":"high","unread":"2"}`)

	for _, appID := range []string{"chat.fluffy", "chat.fluffyX", "xchat.fluffy.a", "Chat.fluffy.a"} {
		stranger := fluffy(appID, "android")
		wantBody(t, s.hs.notify(eventIDOnly(stranger)), rejecting(stranger.Pushkey))
		s.sent(stranger, 0)
	}
}

func TestF09_BadgesCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	s := newGoogleScene(t, func(g *google) string { return g.app("org.example.quiet", "", "badges off") })
	unstable := map[string]any{"org.matrix.msc4076.disable_badge_count": true}
	for i, tt := range []struct {
		appID   string
		data    map[string]any
		badgeIs bool
	}{
		{"org.example.android", nil, true},
		{"org.example.android", map[string]any{"disable_badge_count": false}, true},
		{"org.example.android", map[string]any{"disable_badge_count": true}, false},
		{"org.example.android", unstable, false},
		{"org.example.quiet", nil, false},
		{"org.example.quiet", map[string]any{"disable_badge_count": false}, false},
	} {
		d := androidOf(tt.appID, strconv.Itoa(i))
		d.Data = tt.data
		for _, unread := range []int{3, 0} {
			wantBody(t, s.hs.notify(badge(unread, d)), nothingRejected)
		}
		wantBody(t, s.hs.notify(eventIDOnly(d)), nothingRejected)
		if tt.badgeIs {
			m := s.messages(d, 3)
			wantData(t, m[0], `{"prio":"high","unread":"3"}`)
			wantData(t, m[1], `{"prio":"high","unread":"0"}`)
			wantData(t, m[2], `{"event_id":"$1","room_id":"!room:hs.test","prio":"high","unread":"2"}`)
		} else {
			wantData(t, s.messages(d, 1)[0], `{"event_id":"$1","room_id":"!room:hs.test","prio":"high"}`)
		}
	}
}
