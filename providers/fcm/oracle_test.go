package fcm

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"firebase.google.com/go/v4/messaging"

	"github.com/matrix-push/caddy-matrix-push/internal/fcmmessage"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// sdkLacks are the members that Firebase's SDK 4.19 for Go lacks. A member that it gains must leave this list.
var sdkLacks = []string{
	"android.bandwidth_constrained_ok", "android.restricted_satellite_ok", "android.notification.bypass_proxy_notification", "android_v2",
	"webpush.fcm_options.analytics_label",
}

// leaves are values for the members of a message, by path; the SDK writes each as it is.
var leaves = map[string]string{
	"notification.title": `"x"`, "notification.body": `"x"`, "notification.image": `"https://example.org/i.png"`,
	"android.collapse_key": `"x"`, "android.ttl": `"3600s"`, "android.restricted_package_name": `"x"`,
	"android.priority": `"high"`, "android.fcm_options.analytics_label": `"x"`, "android.direct_boot_ok": `true`,
	"android.bandwidth_constrained_ok": `true`, "android.restricted_satellite_ok": `true`,
	"android.notification.title": `"x"`, "android.notification.body": `"x"`, "android.notification.icon": `"x"`,
	"android.notification.color": `"#00ff80"`, "android.notification.sound": `"x"`, "android.notification.tag": `"x"`,
	"android.notification.image": `"https://example.org/i.png"`, "android.notification.ticker": `"x"`,
	"android.notification.click_action": `"x"`, "android.notification.channel_id": `"x"`, "android.notification.sticky": `true`,
	"android.notification.title_loc_key": `"x"`, "android.notification.body_loc_key": `"x"`,
	"android.notification.title_loc_args": `["x"]`, "android.notification.body_loc_args": `["x"]`,
	"android.notification.local_only": `true`, "android.notification.default_sound": `true`,
	"android.notification.default_vibrate_timings": `true`, "android.notification.default_light_settings": `true`,
	"android.notification.event_time":            `"2026-01-31T12:00:00.000000000Z"`,
	"android.notification.vibrate_timings":       `["1s", "0.500000000s"]`,
	"android.notification.notification_priority": `"PRIORITY_HIGH"`, "android.notification.visibility": `"SECRET"`,
	"android.notification.notification_count": `7`, "android.notification.proxy": `"IF_PRIORITY_LOWERED"`,
	"android.notification.bypass_proxy_notification": `true`,
	"android.notification.light_settings": `{"color": {"red": 1, "green": 1, "blue": 1, "alpha": 1}, "light_on_duration": "1s",
		"light_off_duration": "2s"}`,
	"apns.headers": `{"apns-collapse-id": "x"}`, "apns.live_activity_token": `"x"`, "apns.fcm_options.image": `"https://example.org/i.png"`,
	"apns.fcm_options.analytics_label": `"x"`,
	"apns.payload": `{"aps": {"alert": {"title": "x", "loc-args": ["y"], "loc-key": "z"}, "badge": 1, "sound": {"critical": 1, "name": "x",
		"volume": 0.5}, "content-available": 1, "mutable-content": 1, "thread-id": "x", "own": [1]}, "own": {"a": null}}`,
	"webpush.headers": `{"Urgency": "high"}`, "webpush.data": `{"a": "b"}`, "webpush.fcm_options.link": `"https://example.org/"`,
	"webpush.fcm_options.analytics_label": `"x"`,
	"webpush.notification":                `{"title": "x", "dir": "rtl", "actions": [{"action": "a", "title": "b"}], "vibrate": [1, 2], "own": {"a": 1}}`,
	"fcm_options.analytics_label":         `"x"`,
	"android_v2":                          `{"background_sync": {}}`,
}

// schemaLeaves are the paths of the schema's members, down to those without named members, and to those that are only valid as a whole.
func schemaLeaves(o *fcmmessage.Object, at string) (paths []string) {
	for _, name := range o.Names() {
		_, inner := o.Member(name)
		switch path := at + name; {
		case o.Ours(name) != "":
		case inner == nil, path == "android_v2", name == "light_settings":
			paths = append(paths, path)
		default:
			paths = append(paths, schemaLeaves(inner, path+".")...)
		}
	}
	return paths
}

// nested returns JSON with a value at a path, and the part of a message that the path begins with.
func nested(path, value string) (part, raw string) {
	segments := strings.Split(path, ".")
	raw = value
	for _, name := range slices.Backward(segments[1:]) {
		raw = `{"` + name + `":` + raw + `}`
	}
	return segments[0], raw
}

// treeOf returns decoded JSON.
func treeOf(t *testing.T, v any) any {
	t.Helper()
	raw, ok := v.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return tree
}

// The SDK's types are an oracle for our own description of the API: members that both know must be written the same.
func TestWhereTheSDKKnowsAMemberItWritesTheSame(t *testing.T) {
	t.Parallel()
	paths := schemaLeaves(fcmmessage.Message, "")
	for path := range leaves {
		if !slices.Contains(paths, path) {
			t.Errorf("%s is not in the schema", path)
		}
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			value, ok := leaves[path]
			if !ok {
				t.Fatal("there is no value for it")
			}
			part, raw := nested(path, value)
			if strings.HasSuffix(path, "_loc_args") { // which need their keys
				raw = strings.Replace(raw, `{"notification":{`, `{"notification":{"body_loc_key":"k","title_loc_key":"k",`, 1)
			}
			ours, err := fcmmessage.Read(part, []byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			var sdk messaging.Message
			if err := json.Unmarshal([]byte(`{"`+part+`":`+raw+`}`), &sdk); err != nil {
				t.Fatal(err)
			}
			got, want := treeOf(t, map[string]any{part: ours}), treeOf(t, &sdk)
			same := reflect.DeepEqual(lower(got, path), lower(want, path))
			if lacks := slices.Contains(sdkLacks, path); same == lacks {
				t.Errorf("ours is %v, the SDK's %v, and that it lacks it: %t", got, want, lacks)
			}
		})
	}
}

// lower writes android.priority as the SDK writes it: FCM accepts both.
func lower(tree any, path string) any {
	if path == "android.priority" {
		config := tree.(map[string]any)["android"].(map[string]any)
		config["priority"] = strings.ToLower(config["priority"].(string))
	}
	return tree
}

// Every member of the SDK's types must be in our schema.
func TestWhatTheSDKKnowsTheSchemaKnows(t *testing.T) {
	t.Parallel()
	var check func(of reflect.Type, o *fcmmessage.Object)
	check = func(of reflect.Type, o *fcmmessage.Object) {
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue // written by the type's own code: TestWhereTheSDKKnowsAMemberItWritesTheSame
			}
			snake, inner := o.Member(name)
			if snake != name {
				t.Errorf("%s.%s is not in the schema", of.Name(), name)
			}
			if inner != nil {
				check(field.Type.Elem(), inner)
			}
		}
	}
	check(reflect.TypeFor[messaging.Message](), fcmmessage.Message)
}

// sdkMessage returns the message for a push as Firebase's SDK writes it.
func sdkMessage(t *testing.T, o options, push *providers.Push, data map[string]string, now time.Time) any {
	t.Helper()
	n := push.Notification
	m := messaging.Message{Token: push.Device.Pushkey, Data: data}
	for raw, into := range map[string]any{o.notification: &m.Notification, o.android: &m.Android, o.apns: &m.APNS, o.webpush: &m.Webpush} {
		if raw != "" {
			if err := json.Unmarshal([]byte(raw), into); err != nil {
				t.Fatal(err)
			}
		}
	}
	ttl := time.Duration(push.TTL(now)) * time.Second
	m.Android.Priority, m.Android.TTL = "high", &ttl
	if n.Badge || n.Prio == providers.PrioLow {
		m.Android.Priority = "normal"
	}
	headers := map[string]string{"apns-priority": "5"} // the expiration is compared separately
	if m.Android.Priority == "high" {
		headers["apns-priority"] = "10"
	}
	maps.Copy(headers, m.APNS.Headers)
	m.APNS.Headers = headers
	if n.Badge {
		m.Android.CollapseKey, m.Android.Notification, m.Notification, m.Webpush.Notification = "badge", nil, nil, nil
		m.APNS.Payload.Aps.Alert, m.APNS.Payload.Aps.Sound = nil, ""
	}
	for _, count := range []*int64{n.Counts.Unread, n.Counts.MissedCalls} {
		if aps := m.APNS.Payload.Aps; count != nil && aps.Badge == nil {
			aps.Badge = new(int(*count))
		} else if count != nil {
			*aps.Badge += int(*count)
		}
	}
	return treeOf(t, &m)
}

func TestAMessageIsTheOneThatTheSDKWouldWrite(t *testing.T) {
	t.Parallel()
	p := offline(t)
	everything.set(p)
	p = live(t, p)
	now := time.Now()
	for name, n := range map[string]*providers.Notification{
		"an event": messagetest.Alert(), "an event that may wait": low(), "a badge": unreadCount(7),
		"no counts": messagetest.Alert().WithoutCounts(), "what HTML would escape": {EventID: "$<&>\u2028\u0000\"\\é", RoomID: "!r"},
	} {
		push := pushOf(n)
		members, err := data(push.Notification, push.Device, p.template.room, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := treeOf(t, []byte(messageFor(t, p, push, now))).(map[string]any)
		headers := got["apns"].(map[string]any)["headers"].(map[string]any)
		if headers["apns-expiration"] == nil {
			t.Errorf("%s: there is no expiration", name)
		}
		delete(headers, "apns-expiration")
		if want := sdkMessage(t, everything, push, members, now); !reflect.DeepEqual(any(got), want) {
			t.Errorf("%s: got  %v\nwant %v", name, got, want)
		}
	}
}
