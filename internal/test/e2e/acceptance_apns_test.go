package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// APNs, P01 to P07 of docs/acceptance.md: what is sent. The fake is as strict as Apple's documents, and stricter with payloads. A
// violation that it finds fails the test.

func TestP01_EveryFormOfATokenIsTheSameDevice(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)
	_, path := deviceToken("phone")
	for _, path := range []string{path, strings.Repeat("ff", 32), strings.Repeat("fb", 32), strings.Repeat("03", 32), strings.Repeat("0a", 48)} {
		token, err := hex.DecodeString(path)
		if err != nil {
			t.Fatal(err)
		}
		pushkeys := []string{
			base64.StdEncoding.EncodeToString(token), base64.RawStdEncoding.EncodeToString(token),
			base64.URLEncoding.EncodeToString(token), base64.RawURLEncoding.EncodeToString(token),
		}
		if len(token) == 32 {
			pushkeys = append(pushkeys, path, strings.ToUpper(path))
		}
		slices.Sort(pushkeys)
		pushkeys = slices.Compact(pushkeys) // some forms of some tokens are the same
		var devices []device
		for _, pushkey := range pushkeys {
			d := iPhone("phone")
			d.Pushkey = pushkey
			devices = append(devices, d)
		}
		wantBody(t, s.hs.notify(alert("$1", devices...)), nothingRejected)
		s.apns.taken(t, path, len(pushkeys))
	}
}

func TestP02_WhatIsNoTokenIsRejectedWithoutTheNetwork(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)
	whole, _ := deviceToken("phone")
	undecodable := []string{
		"A", "not a token!", "fcm:APA91bToken", "../../l0/3/device/ok", "https://push.example.org/up",
		whole + "=", strings.TrimRight(whole, "=") + "==", whole[:20] + "\n" + whole[20:], " " + whole, "ab+_", "ab=cd", "%71%72",
		strings.Repeat("A", 516),
	}
	for _, pushkey := range undecodable {
		d := iPhone("phone")
		d.Pushkey = pushkey
		for _, body := range []string{alert("$1", d), alert("$2", d), badge(3, d)} {
			if wantBody(t, s.hs.notify(body), rejecting(pushkey)); t.Failed() {
				t.Fatalf("%.40q", pushkey)
			}
		}
	}
	if n := len(s.apns.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	// One of them does not stop the others.
	bad, good := iPhone("phone"), iPhone("phone")
	bad.Pushkey = undecodable[1]
	wantBody(t, s.hs.notify(alert("$1", bad, good)), rejecting(bad.Pushkey))
	s.pushes(good, 1)
}

func TestP03_ProductionAndSandboxNeverCross(t *testing.T) {
	t.Parallel()
	production := newApple(t)
	sandbox := newApple(t, func(o *apnstest.Options) { o.Environment = "sandbox" })
	proxy := newConnectProxy(t)
	direct := func(appID, environment string) string {
		return "app " + appID + " {\napns {\nkey_file " + production.keyFile + "\nkey_id " + appleKeyID + "\nteam_id " + appleTeamID +
			"\ntopic " + bundleID + environment + "\nproxy http://" + proxy.address + "\n}\nwait 20s\n}\n"
	}
	gateway := startGateway(t, stateless+
		production.app("org.example.ios", "environment production", "")+
		sandbox.app("org.example.ios.dev", "environment sandbox", "")+
		direct("org.example.direct", "")+
		direct("org.example.direct.prod", "\nenvironment production")+
		direct("org.example.direct.dev", "\nenvironment sandbox"), "matrix_push")
	hs := gateway.homeserver()

	t.Run("each app has its own", func(t *testing.T) {
		store, xcode := iPhone("store"), iPhoneOf("org.example.ios.dev", "xcode")
		wantBody(t, hs.notify(alert("$1", store, xcode)), nothingRejected)
		production.taken(t, store.path(), 1)
		production.taken(t, xcode.path(), 0)
		sandbox.taken(t, xcode.path(), 1)
		sandbox.taken(t, store.path(), 0)
	})
	t.Run("a token that one does not know is not tried at the other", func(t *testing.T) {
		d := iPhone("of the other")
		production.Answer(d.path(), apnstest.Answer{Reason: "BadDeviceToken", Times: -1})
		wantBody(t, hs.notify(alert("$2", d)), rejecting(d.Pushkey))
		sandbox.taken(t, d.path(), 0)
		// The same token stays valid in the other environment.
		wantBody(t, hs.notify(alert("$3", iPhoneOf("org.example.ios.dev", "of the other"))), nothingRejected)
		sandbox.taken(t, d.path(), 1)
	})
	t.Run("each is Apple's own server", func(t *testing.T) {
		for appID, host := range map[string]string{
			"org.example.direct":      "api.push.apple.com:443",
			"org.example.direct.prod": "api.push.apple.com:443",
			"org.example.direct.dev":  "api.sandbox.push.apple.com:443",
		} {
			wantUnavailable(t, hs.notify(alert("$4", iPhoneOf(appID, appID))))
			if got := proxy.last(); got != host {
				t.Errorf("%s connects to %q, want %q", appID, got, host)
			}
		}
	})
}

func TestP04_TheHeadersSayWhatThePushIs(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, func(a *apple) string {
		return a.app("org.example.voip", "push_type voip\ntopic "+bundleID+".voip", "ttl 1m") +
			a.app("org.example.room", "collapse_id room", "ttl 1h") +
			a.app("org.example.event", "collapse_id event", "")
	})
	event := func(id, room, prio string) func(...device) string {
		return func(d ...device) string {
			return compose(map[string]any{"event_id": id, "room_id": room, "prio": prio, "counts": map[string]any{"unread": 1}}, d)
		}
	}
	update := func(d ...device) string { return badge(1, d...) }
	const day = 24 * time.Hour
	collapse := make(map[string]string)
	ids := make(map[string]bool)
	for i, tt := range []struct {
		name, appID     string
		silent          bool // without an alert in its default_payload
		body            func(...device) string
		topic, pushType string
		priority        int
		ttl             time.Duration
		collapse        string // those with the same collapse
	}{
		{"an alert", "org.example.ios", false, event("$a", "!a", "high"), bundleID, "alert", 10, day, ""},
		{"an alert that can wait", "org.example.ios", false, event("$a", "!a", "low"), bundleID, "alert", 5, day, ""},
		{"a push with nothing to show", "org.example.ios", true, event("$a", "!a", "high"), bundleID, "background", 5, day, ""},
		{"a badge update", "org.example.ios", false, update, bundleID, "alert", 10, day, ""},
		{"a call", "org.example.voip", false, event("$a", "!a", "high"), bundleID + ".voip", "voip", 10, time.Minute, ""},
		{"a call without a default_payload", "org.example.voip", true, event("$a", "!a", "high"), bundleID + ".voip", "voip", 10, time.Minute, ""},
		{"the last of a room", "org.example.room", false, event("$a", "!a", "high"), bundleID, "alert", 10, time.Hour, "room a"},
		{"the next of the room", "org.example.room", false, event("$b", "!a", "high"), bundleID, "alert", 10, time.Hour, "room a"},
		{"the last of another room", "org.example.room", false, event("$a", "!b", "high"), bundleID, "alert", 10, time.Hour, "room b"},
		{"a badge update where rooms collapse", "org.example.room", false, update, bundleID, "alert", 10, time.Hour, ""},
		{"an event", "org.example.event", false, event("$a", "!a", "high"), bundleID, "alert", 10, day, "event a"},
		{"another event", "org.example.event", false, event("$b", "!a", "high"), bundleID, "alert", 10, day, "event b"},
		{"an event of a long name", "org.example.event", false, event("$"+strings.Repeat("x", 250), "!a", "high"), bundleID, "alert", 10, day, "event x"},
	} {
		d := iPhoneOf(tt.appID, strconv.Itoa(i))
		if tt.silent {
			d.Data = nil
		}
		before := time.Now().Unix()
		p := s.delivered(tt.body(d), d)
		after := time.Now().Unix()
		if p.Topic != tt.topic || p.PushType != tt.pushType || p.Priority != tt.priority {
			t.Errorf("%s: topic %s, type %s, priority %d", tt.name, p.Topic, p.PushType, p.Priority)
		}
		if ttl := int64(tt.ttl / time.Second); p.Expiration < before+ttl || p.Expiration > after+ttl {
			t.Errorf("%s: it expires %d s after it was sent, want %d", tt.name, p.Expiration-before, ttl)
		}
		if p.ID == "" || ids[p.ID] {
			t.Errorf("%s: its apns-id is %q", tt.name, p.ID)
		}
		ids[p.ID] = true
		if (p.CollapseID == "") != (tt.collapse == "") || len(p.CollapseID) > 64 {
			t.Errorf("%s: its apns-collapse-id is %q", tt.name, p.CollapseID)
		}
		if other, ok := collapse[p.CollapseID]; ok && other != tt.collapse {
			t.Errorf("%s: its apns-collapse-id is that of %s", tt.name, other)
		}
		collapse[p.CollapseID] = tt.collapse
	}
	if len(collapse) != 6 { // with none
		t.Errorf("there are %d kinds of apns-collapse-id: %v", len(collapse), collapse)
	}
}

func TestP05_TheDefaultPayloadIsMerged(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)

	t.Run("into ids", func(t *testing.T) {
		s := s.in(t)
		d := iPhone("ids")
		p := s.delivered(alert("$1", d), d)
		wantJSON(t, p.Payload, `{"aps":{"mutable-content":1,"alert":{"loc-key":"Notification","loc-args":[]}},
			"pusher_notification_client_identifier":"client","room_id":"!room:hs.test","event_id":"$1","unread_count":2}`)
	})
	t.Run("into an alert, which keeps what else it has", func(t *testing.T) {
		s := s.in(t)
		d := iPhoneOf("org.example.full", "full")
		d.Data = map[string]any{"default_payload": map[string]any{
			"aps": map[string]any{
				"alert": map[string]any{"title": "Chat", "loc-key": "Notification", "loc-args": []any{"x"}},
				"badge": 99, "sound": "ping.aiff", "mutable-content": 1, "thread-id": "mine",
			},
			"nested": map[string]any{"deep": []any{1.5, nil, "<&>"}},
		}}
		p := s.delivered(alert("$1", d), d)
		wantJSON(t, p.Payload, `{"aps":{"alert":{"title":"Chat","loc-key":"MSG_FROM_USER_IN_ROOM_WITH_CONTENT",
			"loc-args":["Alice","The room","the secret content"]},"badge":2,"sound":"ping.aiff","mutable-content":1,"thread-id":"mine"},
			"nested":{"deep":[1.5,null,"<&>"]},"room_id":"!room:hs.test","event_id":"$1"}`)
	})
	t.Run("without saying what only the homeserver can", func(t *testing.T) {
		s := s.in(t)
		for _, appID := range []string{"org.example.ios", "org.example.full"} {
			for name, body := range map[string]func(...device) string{
				"an event": func(d ...device) string { return alert("$1", d...) },
				"an event without a room": func(d ...device) string {
					return compose(map[string]any{"event_id": "$1"}, d)
				},
				"a room without an event": func(d ...device) string {
					return compose(map[string]any{"room_id": "!room:hs.test"}, d)
				},
			} {
				d := iPhoneOf(appID, appID+name)
				d.Data = elementXData()
				defaults := d.Data["default_payload"].(map[string]any)
				defaults["room_id"], defaults["event_id"] = "!evil:hs.test", "$evil"
				if p := s.delivered(body(d), d); strings.Contains(string(p.Payload), "evil") {
					t.Errorf("%s of %s: %s", name, appID, p.Payload)
				}
			}
		}
	})
	t.Run("or else left out", func(t *testing.T) {
		s := s.in(t)
		for i, wrong := range []any{
			nil, "cs", 1, true,
			[]any{},
			[]any{map[string]any{}},
			map[string]any{"aps": "x"},
			map[string]any{"aps": nil},
			map[string]any{"aps": map[string]any{"alert": 1}},
		} {
			d := iPhone(fmt.Sprint("wrong", i))
			d.Data = map[string]any{"default_payload": wrong}
			if p := s.delivered(alert("$1", d), d); !strings.Contains(string(p.Payload), "$1") {
				t.Errorf("%v: %s", wrong, p.Payload)
			}
		}
	})
}

func TestP06_CountsAndBadges(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, func(a *apple) string { return a.app("org.example.quiet", "", "badges off\ncontent full") })
	counted := func(counts map[string]any) func(...device) string {
		return func(d ...device) string {
			return compose(map[string]any{"event_id": "$1", "room_id": "!r", "type": "m.room.message", "sender": "@a:b", "counts": counts}, d)
		}
	}
	update := func(counts map[string]any) func(...device) string {
		return func(d ...device) string {
			return compose(map[string]any{"id": "", "type": nil, "sender": "", "counts": counts}, d)
		}
	}
	type counts = map[string]any
	zero, two, call, both := counts{"unread": 0}, counts{"unread": 2}, counts{"missed_calls": 1}, counts{"unread": 2, "missed_calls": 1}
	noBadge := map[string]any{"disable_badge_count": true}
	for i, tt := range []struct {
		appID string
		data  map[string]any
		body  func(...device) string
		want  string // empty for no push
	}{
		{"org.example.ios", nil, counted(nil), `{"aps":{"content-available":1},"event_id":"$1","room_id":"!r"}`},
		{"org.example.ios", nil, counted(zero), `{"aps":{"content-available":1},"event_id":"$1","room_id":"!r","unread_count":0}`},
		{"org.example.ios", nil, counted(both), `{"aps":{"content-available":1},"event_id":"$1","room_id":"!r","unread_count":2,"missed_calls":1}`},
		{"org.example.ios", noBadge, counted(both), `{"aps":{"content-available":1},"event_id":"$1","room_id":"!r"}`},
		{"org.example.full", nil, counted(nil), `{"aps":{"alert":{"loc-key":"MSG_FROM_USER","loc-args":["@a:b"]}},"event_id":"$1","room_id":"!r"}`},
		{"org.example.full", nil, counted(zero), `{"aps":{"alert":{"loc-key":"MSG_FROM_USER","loc-args":["@a:b"]},"badge":0},"event_id":"$1","room_id":"!r"}`},
		{"org.example.full", nil, counted(both), `{"aps":{"alert":{"loc-key":"MSG_FROM_USER","loc-args":["@a:b"]},"badge":3},"event_id":"$1","room_id":"!r"}`},
		{"org.example.full", nil, counted(call), `{"aps":{"alert":{"loc-key":"MSG_FROM_USER","loc-args":["@a:b"]},"badge":1},"event_id":"$1","room_id":"!r"}`},
		{"org.example.full", noBadge, counted(both), `{"aps":{"alert":{"loc-key":"MSG_FROM_USER","loc-args":["@a:b"]}},"event_id":"$1","room_id":"!r"}`},
		{"org.example.quiet", nil, counted(both), `{"aps":{"alert":{"loc-key":"MSG_FROM_USER","loc-args":["@a:b"]}},"event_id":"$1","room_id":"!r"}`},
		{"org.example.ios", elementXData(), update(zero), `{"aps":{"badge":0}}`},
		{"org.example.ios", elementXData(), update(two), `{"aps":{"badge":2}}`},
		{"org.example.ios", nil, update(both), `{"aps":{"badge":3}}`},
		{"org.example.ios", nil, update(counts{"unread": 70000}), `{"aps":{"badge":70000}}`},
		{"org.example.full", nil, update(zero), `{"aps":{"badge":0}}`},
		{"org.example.full", nil, update(nil), ``},
		{"org.example.ios", noBadge, update(two), ``},
		{"org.example.ios", map[string]any{"org.matrix.msc4076.disable_badge_count": true}, update(two), ``},
		{"org.example.quiet", nil, update(zero), ``},
	} {
		d := iPhoneOf(tt.appID, strconv.Itoa(i))
		d.Data = tt.data
		body := tt.body(d)
		wantBody(t, s.hs.notify(body), nothingRejected)
		if tt.want == "" {
			if n := len(s.requests(d)); n != 0 {
				t.Errorf("%d requests were made for %s", n, body)
			}
			continue
		}
		wantJSON(t, s.pushes(d, 1)[0].Payload, tt.want)
	}
}

func TestP07_APayloadIsCutToWhatFits(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, func(a *apple) string {
		return a.app("org.example.voip", "push_type voip\ntopic "+bundleID+".voip", "content full")
	})
	for appID, limit := range map[string]int{"org.example.full": 4096, "org.example.voip": 5120} {
		for _, text := range []string{"a", "é", "語", "🎈", "e\u0301🏳️‍🌈", `"\`, "\u2028", "\x01\n\t", "<&>"} {
			body := strings.Repeat(text, 60_000/(len(mustMarshal(text))-2)) // in JSON
			d := iPhoneOf(appID, appID+text)
			p := s.delivered(compose(map[string]any{
				"event_id": "$1", "room_id": "!room:hs.test", "type": "m.room.message", "sender": "@alice:hs.test", "room_name": "The room",
				"content": map[string]any{"msgtype": "m.text", "body": body}, "counts": map[string]any{"unread": 2},
			}, []device{d}), d)
			args, _ := member(t, p.Payload, "aps", "alert", "loc-args").([]any)
			if len(p.Payload) > limit || len(p.Payload) < limit-64 || !utf8.Valid(p.Payload) || len(args) != 3 {
				t.Errorf("%s, %q: %d bytes, of at most %d", appID, text, len(p.Payload), limit)
				continue
			}
			if rest, _ := args[2].(string); rest == "" || !strings.HasPrefix(body, rest) || args[0] != "@alice:hs.test" || args[1] != "The room" {
				t.Errorf("%s, %q: the arguments are %.80q", appID, text, args)
			}
			if member(t, p.Payload, "event_id") != "$1" || member(t, p.Payload, "room_id") != "!room:hs.test" {
				t.Errorf("%s, %q: the ids are lost", appID, text)
			}
		}
		// A value that cannot be cut is sent whole, or left out.
		padding := func(n int) device {
			d := iPhoneOf(appID, fmt.Sprint(appID, " padding ", n))
			d.Data["default_payload"].(map[string]any)["padding"] = strings.Repeat("x", n)
			return d
		}
		least := len(s.delivered(eventIDOnly(padding(0)), padding(0)).Payload)
		most, tooMuch := padding(limit-least), padding(limit-least+1)
		if n := len(s.delivered(eventIDOnly(most), most).Payload); n != limit {
			t.Errorf("%s: what just fits has %d bytes", appID, n)
		}
		wantJSON(t, s.delivered(eventIDOnly(tooMuch), tooMuch).Payload,
			`{"aps":{"content-available":1},"room_id":"!room:hs.test","event_id":"$1","unread_count":2}`)
		d := iPhoneOf(appID, appID+" default_payload")
		d.Data["default_payload"].(map[string]any)["huge"] = strings.Repeat("語", 20_000)
		wantJSON(t, s.delivered(alert("$1", d), d).Payload,
			`{"aps":{"content-available":1},"room_id":"!room:hs.test","event_id":"$1","unread_count":2}`)
	}
}
