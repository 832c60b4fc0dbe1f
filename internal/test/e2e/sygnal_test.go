package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

// What Sygnal's own tests check, as far as a compatible gateway must do the same. Each part is named after Sygnal's test, and notes where
// this gateway deliberately differs. `content full` makes an app behave like Sygnal's. Other tests cover:
//
//	test_pushgateway_api_v1.py
//	    test_good_requests_give_200, test_accepted_devices_are_not_rejected   TestA01_AFullFormatRequestIsDelivered
//	    test_rejected_devices_are_rejected                                    TestR01_ADeadSubscriptionIsRejectedAndNotAskedForAgain
//	    test_only_rejected_devices_are_rejected                               TestR08 in acceptance_rejection_test.go
//	    test_bad_requests_give_400                                            TestA05 in acceptance_protocol_test.go
//	    test_remote_errors_give_502                                           TestGorush_200ParallelFailuresGive200Answers; 503 here
//	test_concurrency_limit.py                                                 TestSygnalConcurrencyLimit
//	test_apnstruncate.py                                                      TestP07_APayloadIsCutToWhatFits, providers/apns/truncate_test.go

func TestSygnalHTTP(t *testing.T) {
	t.Parallel()
	a := newApple(t)
	gateway := startGateway(t, stateless+
		a.app("com.example.apns", "collapse_id room", "content full")+
		a.app("com.example.*", "collapse_id event", "content full")+
		a.app("com.exa*", "", "content full"), "matrix_push")
	s := appleScene{t, a, gateway, gateway.homeserver()}

	// The three apps differ in their apns-collapse-id.
	collapseID := func(appID string) string {
		d := iPhoneOf(appID, appID)
		id := s.delivered(sygnalNotification(d), d).CollapseID
		if n := len(s.requests(d)); n != 1 {
			t.Errorf("%s: %d requests were made", appID, n)
		}
		return id
	}
	var exact, glob string
	t.Run("test_with_specific_appid", func(*testing.T) { exact = collapseID("com.example.apns") })
	t.Run("test_with_matching_appid", func(t *testing.T) {
		if glob = collapseID("com.example.other"); glob == "" || glob == exact {
			t.Errorf("the glob's app has the collapse id %q", glob)
		}
		if id := collapseID("com.exam"); id != "" {
			t.Errorf("the other glob's app has the collapse id %q", id)
		}
	})
	// If two globs match, the more specific one serves the device. Two of the same specificity fail the load.
	t.Run("test_with_ambigious_appid", func(t *testing.T) {
		if id := collapseID("com.example.both"); id != glob {
			t.Errorf("the collapse id is %q, not %q", id, glob)
		}
		err := gateway.load(gatewayConfig(stateless+a.app("com.*a*", "", "")+a.app("com.*b*", "", ""), "matrix_push"))
		if err == nil || !strings.Contains(err.Error(), "equally specific") {
			t.Errorf("two globs of the same specificity: %v", err)
		}
	})
}

func TestSygnalConcurrencyLimit(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, func(a *apple) string {
		return a.app("com.example.one", "", "concurrency 1") + a.app("com.example.two", "", "concurrency 1")
	})
	t.Run("test_passes_under_limit_one", func(t *testing.T) {
		s := s.in(t)
		d := iPhoneOf("com.example.one", "alone")
		s.delivered(sygnalNotification(d), d)
	})

	until := make(chan struct{})
	held := iPhoneOf("com.example.one", "held")
	s.apns.Answer(held.path(), apnstest.Answer{Until: until})
	answers := make(chan reply, 1)
	post := func(d device) {
		r, err := s.hs.try(sygnalNotification(d))
		if err != nil {
			t.Error(err)
		}
		answers <- r
	}
	go post(held)
	s.apns.await(t, func() bool { return s.apns.Held() == 1 })
	t.Run("test_passes_under_limit_multiple_no_interfere", func(t *testing.T) {
		s := s.in(t)
		d := iPhoneOf("com.example.two", "elsewhere")
		s.delivered(sygnalNotification(d), d)
	})
	// Three more wait for their turn, where Sygnal fails them. Of four more at the same time, three wait.
	t.Run("test_fails_when_limit_hit", func(t *testing.T) {
		for i := range 4 {
			go post(iPhoneOf("com.example.one", fmt.Sprint("waits ", i)))
		}
		wantLater(t, <-answers)
		close(until)
		for range 4 {
			wantBody(t, <-answers, nothingRejected)
		}
	})
}

func TestSygnalAPNs(t *testing.T) {
	t.Parallel()
	const app, quiet, typed = "com.example.apns", "com.example.no-badges", "com.example.push-type"
	s := newAppleScene(t, func(a *apple) string {
		return a.app(app, "", "content full") + a.app(quiet, "", "content full\nbadges off") + a.app(typed, "push_type alert", "content full")
	})
	alertDefault := map[string]any{"aps": map[string]any{
		"mutable-content": 1, "alert": map[string]any{"loc-key": "SINGLE_UNREAD", "loc-args": []any{}},
	}}
	const expected = `{"aps":{"alert":{"loc-key":"MSG_FROM_USER_IN_ROOM_WITH_CONTENT",
		"loc-args":["Major Tom","Mission Control","Ground control, do you read?"]},"badge":3},
		"room_id":"!space:hs.test","event_id":"$event"}`

	t.Run("test_payload_truncation", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()))
		name := strings.Repeat("B", 1024)
		p := s.delivered(compose(sygnalEvent(map[string]any{
			"event_id": "$e", "room_id": "!r", "counts": map[string]any{"unread": 3},
			"sender_display_name": strings.Repeat("A", 1024), "room_name": name,
			"content": map[string]any{"msgtype": "m.text", "body": strings.Repeat("C", 5000)},
		}), []device{d}), d)
		// Exactly Sygnal's payload.
		args, _ := member(t, p.Payload, "aps", "alert", "loc-args").([]any)
		want := []string{strings.Repeat("A", 1024), name, strings.Repeat("C", 1906)}
		if len(p.Payload) > 4096 || len(args) != 3 || args[0] != want[0] || args[1] != want[1] || args[2] != want[2] {
			t.Errorf("%d bytes: %s", len(p.Payload), p.Payload)
		}
	})
	t.Run("test_expected", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()))
		p := s.delivered(sygnalNotification(d), d)
		wantJSON(t, p.Payload, expected)
		if p.Topic != bundleID || p.Priority != 10 {
			t.Errorf("the push is for %s with priority %d", p.Topic, p.Priority)
		}
	})
	t.Run("test_expected_event_id_only_with_default_payload", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()), alertDefault)
		wantJSON(t, s.delivered(sygnalEventIDOnly(d), d).Payload, `{"aps":{"mutable-content":1,
			"alert":{"loc-key":"SINGLE_UNREAD","loc-args":[]}},"room_id":"!space:hs.test","event_id":"$event","unread_count":2}`)
	})
	t.Run("test_expected_badge_only_with_default_payload", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()), alertDefault)
		wantJSON(t, s.delivered(badge(2, d), d).Payload, `{"aps":{"badge":2}}`)
	})
	t.Run("test_expected_full_with_default_payload", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()), alertDefault)
		wantJSON(t, s.delivered(sygnalNotification(d), d).Payload, strings.Replace(expected, `"badge":3`, `"badge":3,"mutable-content":1`, 1))
	})
	t.Run("test_misconfigured_payload_is_rejected", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()), nil)
		s.delivered(sygnalNotification(d), d) // Sygnal rejects it, and its homeserver deletes the pusher
	})
	t.Run("test_rejection", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()))
		s.apns.Answer(d.path(), apnstest.Answer{Reason: "Unregistered"})
		wantBody(t, s.hs.notify(sygnalNotification(d)), rejecting(d.Pushkey))
		if n := len(s.requests(d)); n != 1 {
			t.Errorf("%d requests were made", n)
		}
	})
	t.Run("test_send_badge_counts", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(quiet, t.Name()))
		wantJSON(t, s.delivered(sygnalNotification(d), d).Payload, strings.Replace(expected, `,"badge":3`, "", 1))
	})
	t.Run("test_send_badge_counts_with_badge_only_notification", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(quiet, t.Name()))
		wantBody(t, s.hs.notify(badge(2, d)), nothingRejected)
		if n := len(s.requests(d)); n != 0 {
			t.Errorf("%d requests were made", n)
		}
	})
	t.Run("test_no_retry_on_4xx", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()))
		s.apns.Answer(d.path(), apnstest.Answer{Reason: "TooManyRequests", Times: -1})
		wantLater(t, s.hs.notify(sygnalNotification(d)))
		if n := len(s.requests(d)); n != 1 {
			t.Errorf("%d requests were made", n)
		}
	})
	// Sygnal repeats the push itself while the homeserver waits. Here, the homeserver repeats it.
	t.Run("test_retry_on_5xx", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(app, t.Name()))
		s.apns.Answer(d.path(), apnstest.Answer{Reason: "ServiceUnavailable", Times: 3})
		for range 3 {
			wantLater(t, s.hs.notify(sygnalNotification(d)))
		}
		wantJSON(t, s.delivered(sygnalNotification(d), d).Payload, expected)
	})
	t.Run("test_expected_with_push_type", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(iPhoneOf(typed, t.Name()))
		p := s.delivered(sygnalNotification(d), d)
		wantJSON(t, p.Payload, expected)
		if p.PushType != "alert" {
			t.Errorf("the push type is %q", p.PushType)
		}
	})
}

func TestSygnalGCM(t *testing.T) {
	t.Parallel()
	const app, plain, quiet = "com.example.gcm", "com.example.plain", "com.example.no-badges"
	s := newGoogleScene(t, func(g *google) string {
		return g.app(app, "android `{\"notification\": {\"body\": \"a message\"}}`\n"+
			"apns `{\"payload\": {\"aps\": {\"content-available\": 1, \"mutable-content\": 1, \"alert\": \"a message\"}}}`", "content full") +
			g.app(plain, "", "content full") + g.app(quiet, "", "content full\nbadges off")
	})
	const day = 24 * time.Hour
	const data = `{"event_id":"$event","type":"m.room.message","sender":"@tom:hs.test","room_name":"Mission Control",
		"room_alias":"#mission:hs.test","sender_display_name":"Major Tom","room_id":"!space:hs.test","content_msgtype":"m.text",
		"content_body":"Ground control, do you read?","prio":"high","unread":"2","missed_calls":"1"}`
	const withoutCounts = `,"unread":"2","missed_calls":"1"`

	// More than Sygnal sends: android.ttl, apns.headers, and apns.payload.aps.badge.
	t.Run("test_expected_api_v1", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(androidOf(app, t.Name()))
		wantMessage(t, s.delivered(sygnalNotification(d), d), day, `{"token":"`+d.Pushkey+`","data":`+data+`,
			"android":{"notification":{"body":"a message"},"priority":"high"},
			"apns":{"headers":{"apns-priority":"10"},"payload":{"aps":{"content-available":1,"mutable-content":1,"alert":"a message","badge":3}}}}`)
		r := s.sent(d, 1)[0]
		if got := r.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("the content is %q", got)
		}
		if got := r.Header.Get("Authorization"); !strings.HasPrefix(got, "Bearer ya29.") {
			t.Error("it is not sent with the access token")
		}
	})
	// Sygnal passes the nested value on, which FCM refuses. Here it becomes a text.
	t.Run("test_expected_api_v1_with_default_payload", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(androidOf(plain, t.Name()), map[string]any{
			"aps": map[string]any{"mutable-content": 1, "alert": map[string]any{"loc-key": "SINGLE_UNREAD", "loc-args": []any{}}},
		})
		m := s.delivered(sygnalNotification(d), d)
		wantJSON(t, []byte(m.Data["aps"]), `{"mutable-content":1,"alert":{"loc-key":"SINGLE_UNREAD","loc-args":[]}}`)
		delete(m.Data, "aps")
		wantData(t, m, data)
	})
	t.Run("test_misformed_default_payload_rejected", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(androidOf(plain, t.Name()), nil)
		s.delivered(sygnalNotification(d), d) // Sygnal rejects it, and its homeserver deletes the pusher
	})
	t.Run("test_batching_api_v1", func(t *testing.T) {
		s := s.in(t)
		first, second := sygnalDevice(androidOf(plain, "first")), sygnalDevice(androidOf(plain, "second"))
		wantBody(t, s.hs.notify(sygnalNotification(first, second)), nothingRejected)
		for _, d := range []device{first, second} {
			wantMessage(t, s.messages(d, 1)[0], day, `{"token":"`+d.Pushkey+`","data":`+data+`,"android":{"priority":"high"}}`)
		}
	})
	// Sygnal repeats the push itself while the homeserver waits. Here, the homeserver repeats it.
	t.Run("test_api_v1_retry", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(androidOf(plain, t.Name()))
		unavailable := fcmtest.ErrorFor("UNAVAILABLE")
		unavailable.Times = 2
		s.fcm.Answer(d.Pushkey, unavailable)
		for range 2 {
			wantLater(t, s.hs.notify(sygnalNotification(d)))
		}
		wantBody(t, s.hs.notify(sygnalNotification(d)), nothingRejected)
		for _, r := range s.sent(d, 3) {
			wantMessage(t, r.Message, day, `{"token":"`+d.Pushkey+`","data":`+data+`,"android":{"priority":"high"}}`)
		}
	})
	t.Run("test_send_badge_counts_api_v1", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(androidOf(quiet, t.Name()))
		wantData(t, s.delivered(sygnalNotification(d), d), strings.Replace(data, withoutCounts, "", 1))
	})
	t.Run("test_send_badge_counts_api_v1_with_badge_only_notification", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(androidOf(quiet, t.Name()))
		wantBody(t, s.hs.notify(badge(2, d)), nothingRejected)
		s.sent(d, 0)
	})
	t.Run("test_send_badge_counts_api_v1_with_event_id_only_notification", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(androidOf(quiet, t.Name()))
		wantData(t, s.delivered(sygnalEventIDOnly(d), d), `{"event_id":"$event","room_id":"!space:hs.test","prio":"high"}`)
	})
	t.Run("test_api_v1_large_fields", func(t *testing.T) {
		s := s.in(t)
		d := sygnalDevice(androidOf(plain, t.Name()))
		m := s.delivered(compose(sygnalEvent(map[string]any{
			"room_name": strings.Repeat("x", 1025), "sender_display_name": strings.Repeat("y", 1024),
			"content": map[string]any{"msgtype": "m.text", "body": "", "other": strings.Repeat("é", 513)},
		}), []device{d}), d)
		if got := m.Data["room_name"]; got != strings.Repeat("x", 1021)+"…" {
			t.Errorf("the room's name has %d bytes: %.20s…", len(got), got)
		}
		if got := m.Data["sender_display_name"]; got != strings.Repeat("y", 1024) {
			t.Errorf("what just fits has %d bytes", len(got))
		}
		if got := m.Data["content_other"]; got != strings.Repeat("é", 510)+"…" {
			t.Errorf("the content's other has %d bytes: %.20s…", len(got), got)
		}
	})
}
