package fcm

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// options are the options of a template, as JSON.
type options struct{ notification, android, androidV2, apns, webpush, fcmOptions string }

func (o options) set(p *Provider) {
	for _, option := range []struct {
		raw  string
		into *json.RawMessage
	}{
		{o.notification, &p.Notification},
		{o.android, &p.Android},
		{o.androidV2, &p.AndroidV2},
		{o.apns, &p.APNS},
		{o.webpush, &p.Webpush},
		{o.fcmOptions, &p.FCMOptions},
	} {
		if option.raw != "" {
			*option.into = json.RawMessage(option.raw)
		}
	}
}

func TestAWrongTemplateFailsTheLoad(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options options
		parts   []string
	}{
		{"no object", options{notification: `"title"`}, []string{"notification:", "not a JSON object"}},
		{"a list", options{android: `[]`}, []string{"android:", "not a JSON object"}},
		{"null", options{apns: `null`}, []string{"apns:", "not a JSON object"}},
		{"half an object", options{webpush: `{"headers"`}, []string{"webpush:", "not a JSON object"}},

		{"a member that FCM does not have", options{notification: `{"titel": "x"}`}, []string{"notification.titel:", "did you mean title?"}},
		{"one inside of android", options{android: `{"notification": {"body": "x", "chanel_id": "y"}}`}, []string{"android.notification.chanel_id:", "did you mean channel_id?"}},
		{"one inside of apns", options{apns: `{"fcm_options": {"picture": "x"}}`}, []string{"apns.fcm_options.picture:", "no such member"}},
		{"one inside of webpush", options{webpush: `{"header": {"TTL": "1"}}`}, []string{"webpush.header:", "did you mean headers?"}},
		{"one of the second configuration for Android", options{androidV2: `{"backgroundSink": {}}`}, []string{"android_v2.backgroundSink:", "backgroundSync?"}},
		{"one of the labels", options{fcmOptions: `{"label": "x"}`}, []string{"fcm_options.label:", "no such member"}},
		{"a message instead of its part", options{android: `{"android": {"priority": "high"}}`}, []string{"android.android:", "no such member"}},

		{"data in android", options{android: `{"data": {"room_id": "!other"}}`}, []string{"android.data:", "would take the place", "leave it out"}},
		{"a target", options{android: `{"token": "x"}`}, []string{"android.token:", "the gateway sets the device"}},
		{"both configurations for Android", options{android: `{}`, androidV2: `{"background_sync": {}}`}, []string{"android_v2:", "replaces android"}},
		{"a notification that leaves no room", options{notification: `{"body": "` + strings.Repeat("x", 2048) + `"}`}, []string{"notification:", "too little room"}},

		{"a text that is a number", options{notification: `{"title": 5}`}, []string{"notification.title:", "it is a number, not a string"}},
		{"a ttl that is a number", options{android: `{"ttl": 3600}`}, []string{"android.ttl:", `a string such as "3600s"`}},
		{"a ttl that is too long", options{android: `{"ttl": "2419201s"}`}, []string{"android.ttl:", `"2419201s"`, "four weeks"}},
		{"a light without a color", options{android: `{"notification": {"light_settings": {"light_on_duration": "1s", "light_off_duration": "1s"}}}`}, []string{"android.notification.light_settings.color:", "missing"}},
		{"a color by its name", options{android: `{"notification": {"color": "red"}}`}, []string{"android.notification.color:", `"red"`, `"#00ff80"`}},
		{"a sound that is too loud", options{apns: `{"payload": {"aps": {"sound": {"name": "x", "volume": 11}}}}`}, []string{"apns.payload.aps.sound.volume: 11"}},
		{"a direction that there is not", options{webpush: `{"notification": {"dir": "up"}}`}, []string{"webpush.notification.dir:", "direction"}},
		{"a link without TLS", options{webpush: `{"notification": {"title": "x"}, "fcm_options": {"link": "http://example.org"}}`}, []string{"webpush.fcm_options.link:", "https"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := offline(t)
			test.options.set(p)
			refuses(t, p, test.parts...)
		})
	}
}

func TestATargetIsATokenOrAnInstallation(t *testing.T) {
	t.Parallel()
	p := offline(t)
	p.Target = "topic"
	refuses(t, p, "target:", `"topic"`, "token", "fid")
}

func TestANotificationTakesItsRoomFromTheData(t *testing.T) {
	t.Parallel()
	const notification = `{"title":"x","body":"y"}`
	for raw, want := range map[string]int{"": 4096, notification: 4096 - len(notification)} {
		p := offline(t)
		options{notification: raw}.set(p)
		if got := live(t, p).template.room; got != want {
			t.Errorf("%q leaves %d bytes, want %d", raw, got, want)
		}
	}
}

// everything is what an operator may set for each message.
var everything = options{
	notification: `{"title": "New message", "body": "Open the app", "image": "https://example.org/i.png"}`,
	android: `{"restricted_package_name": "org.example", "direct_boot_ok": true, "fcm_options": {"analytics_label": "matrix"},
		"notification": {"channel_id": "messages", "color": "#00ff80", "notification_priority": "PRIORITY_HIGH", "visibility": "PRIVATE"}}`,
	apns: `{"headers": {"apns-collapse-id": "x"}, "payload": {"aps": {"mutable-content": 1, "content-available": 1, "sound": "default",
		"alert": {"title": "New message", "loc-key": "K", "loc-args": ["a"]}, "custom": 1}, "extra": {"a": [1]}}}`,
	webpush: `{"headers": {"Urgency": "high"}, "data": {"a": "b"},
		"notification": {"title": "New message", "icon": "https://example.org/i.png", "custom": true}, "fcm_options": {"link": "https://example.org/"}}`,
}

// messageFor returns the message for a push, with its data if it has any.
func messageFor(t *testing.T, p *Provider, push *providers.Push, now time.Time) json.RawMessage {
	t.Helper()
	members, err := data(push.Notification, push.Device, p.template.room, nil)
	if err != nil && !errors.Is(err, errNothing) {
		t.Fatal(err)
	}
	var request struct {
		Message json.RawMessage `json:"message"`
	}
	if err := json.Unmarshal(p.template.request(sending, push, members, now), &request); err != nil {
		t.Fatal(err)
	}
	return request.Message
}

// part returns a part of a message, without the members of android that the provider sets.
func part(t *testing.T, raw json.RawMessage, name string) any {
	t.Helper()
	var message map[string]any
	if err := json.Unmarshal(raw, &message); err != nil {
		t.Fatal(err)
	}
	if config, ok := message[name].(map[string]any); ok && name == "android" {
		for _, own := range []string{"priority", "ttl", "collapse_key"} {
			delete(config, own)
		}
	}
	if config, ok := message[name].(map[string]any); ok && name == "apns" {
		headers := config["headers"].(map[string]any)
		delete(headers, "apns-priority")
		delete(headers, "apns-expiration")
		if len(headers) == 0 {
			delete(config, "headers")
		}
	}
	return message[name]
}

// wantPart compares a part of a message with JSON; empty for none.
func wantPart(t *testing.T, raw json.RawMessage, name, want string) {
	t.Helper()
	var wanted any
	if want != "" {
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
	}
	if got := part(t, raw, name); !reflect.DeepEqual(got, wanted) {
		t.Errorf("%s is %v, want %v", name, got, wanted)
	}
}

func TestTheOptionsAreInEachMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *fcmtest.Service, p *Provider) { everything.set(p) })
	push := alert()
	push.Notification = push.Notification.WithoutCounts()
	b.want(t, push, providers.KindDelivered, "delivered")
	got := b.sent(t)
	wantPart(t, got.Raw, "notification", everything.notification)
	wantPart(t, got.Raw, "android", everything.android)
	wantPart(t, got.Raw, "apns", everything.apns)
	wantPart(t, got.Raw, "webpush", everything.webpush)
	if got.Data["event_id"] != "$event" {
		t.Errorf("the data is %v", got.Data)
	}
}

func TestAppleIsToldHowMuchAPushMatters(t *testing.T) {
	t.Parallel()
	low := messagetest.Alert().Reduced()
	low.Prio = providers.PrioLow
	for _, tt := range []struct {
		name, option string
		n            *providers.Notification
		priority     string
	}{
		{"an alert", `{}`, messagetest.Alert().Reduced(), "10"},
		{"one that may wait", `{}`, low, "5"},
		{"a badge", `{}`, messagetest.Badge(), "5"},
		{"as the operator says", `{"headers": {"apns-priority": "1", "apns-expiration": "7"}}`, low, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(_ *fcmtest.Service, p *Provider) { options{apns: tt.option}.set(p) })
			push := pushOf(tt.n)
			b.want(t, push, providers.KindDelivered, "delivered")
			var message struct {
				APNS struct {
					Headers map[string]string `json:"headers"`
				} `json:"apns"`
			}
			if err := json.Unmarshal(b.sent(t).Raw, &message); err != nil {
				t.Fatal(err)
			}
			expiration := strconv.FormatInt(push.Expires.Unix(), 10)
			if tt.priority == "1" {
				expiration = "7"
			}
			if got := message.APNS.Headers; got["apns-priority"] != tt.priority || got["apns-expiration"] != expiration {
				t.Errorf("the headers are %v", got)
			}
		})
	}
}

func TestAPayloadForAppleNeedsNoAps(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *fcmtest.Service, p *Provider) { options{apns: `{"payload": {"extra": 1}}`}.set(p) })
	push := pushOf(messagetest.Alert().Reduced().WithoutCounts())
	b.want(t, push, providers.KindDelivered, "delivered")
	wantPart(t, b.sent(t).Raw, "apns", `{"payload": {"aps": {}, "extra": 1}}`)
}

func TestABadgeShowsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *fcmtest.Service, p *Provider) { everything.set(p) })
	b.want(t, pushOf(unreadCount(7)), providers.KindDelivered, "delivered")
	got := b.sent(t)
	wantPart(t, got.Raw, "notification", "")
	wantPart(t, got.Raw, "android", `{"restricted_package_name": "org.example", "direct_boot_ok": true, "fcm_options": {"analytics_label": "matrix"}}`)
	wantPart(t, got.Raw, "apns", `{"headers": {"apns-collapse-id": "x"}, "payload": {"extra": {"a": [1]},
		"aps": {"badge": 7, "mutable-content": 1, "content-available": 1, "custom": 1}}}`)
	wantPart(t, got.Raw, "webpush", `{"headers": {"Urgency": "high"}, "data": {"a": "b"}, "fcm_options": {"link": "https://example.org/"}}`)
}

func TestAMessageTakesAndLeavesNothingForTheNext(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *fcmtest.Service, p *Provider) { everything.set(p) })
	plain := messagetest.Alert().WithoutCounts()
	for _, n := range []*providers.Notification{plain, messagetest.Alert(), unreadCount(7), low(), plain} {
		b.want(t, pushOf(n), providers.KindDelivered, "delivered")
	}
	messages := b.Messages()
	if len(messages) != 5 {
		t.Fatalf("%d messages arrived", len(messages))
	}
	for _, name := range []string{"notification", "android", "apns", "webpush"} {
		if first, last := part(t, messages[0].Raw, name), part(t, messages[4].Raw, name); !reflect.DeepEqual(first, last) {
			t.Errorf("%s was %v, and is %v", name, first, last)
		}
	}
}

func TestAppleDevicesGetTheCountsAsABadge(t *testing.T) {
	t.Parallel()
	counts := func(unread, missed *int64) *providers.Notification {
		n := messagetest.Alert().Reduced()
		n.Counts = providers.Counts{Unread: unread, MissedCalls: missed}
		return n
	}
	const bare, full = `{"headers": {"apns-collapse-id": "x"}}`, `{"payload": {"aps": {"sound": "default"}, "a": 1}}`
	tests := []struct {
		name, apns string
		n          *providers.Notification
		want       string
	}{
		{"unread", bare, counts(new(int64(3)), nil), `{"headers": {"apns-collapse-id": "x"}, "payload": {"aps": {"badge": 3}}}`},
		{"unread and missed calls", bare, counts(new(int64(3)), new(int64(2))), `{"headers": {"apns-collapse-id": "x"}, "payload": {"aps": {"badge": 5}}}`},
		{"missed calls", bare, counts(nil, new(int64(2))), `{"headers": {"apns-collapse-id": "x"}, "payload": {"aps": {"badge": 2}}}`},
		{"none unread", bare, counts(new(int64(0)), nil), `{"headers": {"apns-collapse-id": "x"}, "payload": {"aps": {"badge": 0}}}`},
		{"beside what the operator wants", full, counts(new(int64(3)), nil), `{"payload": {"aps": {"badge": 3, "sound": "default"}, "a": 1}}`},
		{"in the place of the operator's", `{"payload": {"aps": {"badge": 99}}}`, counts(new(int64(3)), nil), `{"payload": {"aps": {"badge": 3}}}`},
		{"no counts", bare, counts(nil, nil), bare},
		{"no Apple devices", "", counts(new(int64(3)), nil), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := offline(t)
			options{apns: test.apns}.set(p)
			raw := messageFor(t, live(t, p), pushOf(test.n), time.Now())
			wantPart(t, raw, "apns", test.want)
		})
	}
}

func TestAndroidsOptionsGiveWayToTheNotificationButForTTLAndCollapseKey(t *testing.T) {
	t.Parallel()
	const week = `{"priority": "normal", "ttl": "604800s", "collapse_key": "operator"}`
	tests := []struct {
		name, android              string
		n                          *providers.Notification
		priority, ttl, collapseKey string
	}{
		{"an event", week, messagetest.Alert(), "high", "604800s", "operator"},
		{"an event that may wait", `{"priority": "high"}`, low(), "normal", "3600s", ""},
		{"a badge", week, messagetest.Badge(), "normal", "604800s", "operator"},
		{"a badge without options", "", messagetest.Badge(), "normal", "3600s", "badge"},
		{"now or never", `{"ttl": "0s"}`, messagetest.Alert(), "high", "0s", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := offline(t)
			options{android: test.android}.set(p)
			now := time.Now()
			push := pushOf(test.n)
			push.Expires = now.Add(time.Hour)
			raw := messageFor(t, live(t, p), push, now)
			got := android(t, fcmtest.Message{Raw: raw})
			if got.Priority != test.priority || got.TTL != test.ttl || got.CollapseKey != test.collapseKey {
				t.Errorf("got %+v", got)
			}
		})
	}
}
