package fcmmessage

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestWhatFCMTakesIsTaken has a source for each row: FD is the discovery document, PJ is https://protobuf.dev/programming-guides/json/,
// OLD is what earlier builds accepted.
func TestWhatFCMTakesIsTaken(t *testing.T) {
	t.Parallel()
	tests := []struct{ source, part, given, want string }{
		{"FD", "android", `{}`, `{}`},
		{"firebase-admin-go#750", "android", `{"bandwidth_constrained_ok": true}`, `{"bandwidth_constrained_ok":true}`},
		{"firebase-admin-java#1145", "android", `{"restrictedSatelliteOk": true}`, `{"restricted_satellite_ok":true}`},
		{"FD", "android", `{"ttl": "3.5s"}`, `{"ttl":"3.5s"}`},
		{"FD", "android", `{"ttl": "0s"}`, `{"ttl":"0s"}`},
		{"FD", "android", `{"ttl": "2419200s"}`, `{"ttl":"2419200s"}`},
		{"FD", "android", `{"ttl": "2419200.000000000s"}`, `{"ttl":"2419200.000000000s"}`},
		{"OLD", "android", `{"ttl": "0003600s"}`, `{"ttl":"3600s"}`},
		{"OLD", "android", `{"ttl": "0000s"}`, `{"ttl":"0s"}`},
		{"FD", "android", `{"ttl": "00.5s"}`, `{"ttl":"0.5s"}`},
		{"FD", "android", `{"priority": "HIGH"}`, `{"priority":"HIGH"}`},
		{"FD: can take normal and high", "android", `{"priority": "normal"}`, `{"priority":"NORMAL"}`},
		{"PJ: null counts as absent", "android", `{"ttl": null, "notification": null}`, `{}`},
		{"OLD: an empty string counts as absent", "android", `{"notification": {"color": "", "visibility": "", "image": "", "event_time": ""}}`, `{"notification":{}}`},
		{"OLD", "notification", `{"title": ""}`, `{"title":""}`},
		{"OLD: the last of two counts", "notification", `{"title": "a", "title": "b"}`, `{"title":"b"}`},
		{"FD", "android", `{"notification": {"event_time": "2026-01-31T12:00:00+01:00"}}`, `{"notification":{"event_time":"2026-01-31T12:00:00+01:00"}}`},
		{"FD: int32", "android", `{"notification": {"notification_count": -2147483648}}`, `{"notification":{"notification_count":-2147483648}}`},
		{"PJ: 1.0 is a whole number", "android", `{"notification": {"notification_count": 1.0}}`, `{"notification":{"notification_count":1}}`},
		{"FD", "android", `{"notification": {"proxy": "if_priority_lowered"}}`, `{"notification":{"proxy":"IF_PRIORITY_LOWERED"}}`},
		{"FD", "android", `{"notification": {"notification_priority": "PRIORITY_UNSPECIFIED"}}`, `{"notification":{"notification_priority":"PRIORITY_UNSPECIFIED"}}`},
		{"FD", "android", `{"notification": {"title_loc_key": "k", "titleLocArgs": []}}`, `{"notification":{"title_loc_args":[],"title_loc_key":"k"}}`},
		{
			"FD, which the SDK cannot write", "android",
			`{"notification": {"lightSettings": {"color": {"green": 1}, "lightOnDuration": "1s", "light_off_duration": "0.25s"}}}`,
			`{"notification":{"light_settings":{"color":{"green":1},"light_off_duration":"0.25s","light_on_duration":"1s"}}}`,
		},
		{"send/v2-api", "android_v2", `{"backgroundSync": {}}`, `{"background_sync":{}}`},
		{"send/v2-api", "android_v2", `{"remoteNotification": {"notification": {"id": 7}}}`, `{"remote_notification":{"notification":{"id":7}}}`},
		{"send/v2-api", "android_v2", `{"remote_notification": null, "background_sync": {}}`, `{"background_sync":{}}`},
		{"FD: any object", "webpush", `{"notification": {"dir": "rtl", "actions": [{"acton": null}]}}`, `{"notification":{"actions":[{"acton":null}],"dir":"rtl"}}`},
		{"FD", "webpush", `{"fcmOptions": {"link": "https://example.org", "analyticsLabel": "a-b_c.~%"}}`, `{"fcm_options":{"analytics_label":"a-b_c.~%","link":"https://example.org"}}`},
		{"FD: any object", "apns", `{"payload": {"aps": {"alert": {"titel": 1}, "sound": {"volume": 0.5}}}}`, `{"payload":{"aps":{"alert":{"titel":1},"sound":{"volume":0.5}}}}`},
		{"FD: keys are the operator's", "apns", `{"headers": {"apns-push-type": "alert", "collapse_key": "x"}}`, `{"headers":{"apns-push-type":"alert","collapse_key":"x"}}`},
		{"FD", "apns", `{"payload": {"large": 12345678901234567890}}`, `{"payload":{"large":12345678901234567890}}`},
	}
	for _, test := range tests {
		t.Run(test.part+" "+test.given, func(t *testing.T) {
			t.Parallel()
			got, err := Read(test.part, []byte(test.given))
			if err != nil {
				t.Fatalf("%s: %v", test.source, err)
			}
			if written, err := json.Marshal(got); err != nil || string(written) != test.want {
				t.Errorf("%s: got %s (%v), want %s", test.source, written, err, test.want)
			}
		})
	}
}

func TestWhatFCMRefusesIsRefusedWithItsPathAndACure(t *testing.T) {
	t.Parallel()
	shown := func(member string) string { return `{"notification": {` + member + `}}` }
	const at = "android.notification."
	tests := []struct{ source, part, given, want string }{
		{"", "android", `[]`, `android: not a JSON object such as {"title": "New message"}`},
		{"", "android", `{"ttl"`, `android: not a JSON object such as {"title": "New message"}`},
		{"", "android", `{} {}`, `android: not a JSON object such as {"title": "New message"}`},
		{"", "android", ``, `android: not a JSON object such as {"title": "New message"}`},
		{"", "token", `{}`, "token: FCM's v1 API has no such part of a message"},
		{"FD", "notification", `{"titel": "x"}`, "notification.titel: FCM's v1 API has no such member; did you mean title?"},
		{"FD", "android", `{"collapsKey": "x"}`, "android.collapsKey: FCM's v1 API has no such member; did you mean collapseKey?"},
		{"FD", "android", `{"urgency": "x"}`, "android.urgency: FCM's v1 API has no such member: leave it out"},
		{"OLD took it, as nothing", "android", `{"urgency": null}`, "android.urgency: FCM's v1 API has no such member: leave it out"},
		{"PJ", "android", `{"collapse_key": "x", "collapseKey": "x"}`, "android: collapseKey and collapse_key are the same member: leave one of them out"},
		{"PJ", "apns", `{"fcm_options": {}, "fcmOptions": null}`, "apns: fcmOptions and fcm_options are the same member: leave one of them out"},
		{"FD", "android", `{"data": {}}`, "android.data: it would take the place of the notification's data: leave it out"},
		{"FD", "android_v2", `{"data": {}}`, "android_v2.data: it would take the place of the notification's data: leave it out"},
		{"FD", "notification", `{"topic": "x"}`, "notification.topic: the gateway sets the device that each message is for: leave it out"},
		{"FD", "android", `{"fid": "x"}`, "android.fid: the gateway sets the device that each message is for: leave it out"},
		{"FD", "webpush", `{"name": "x"}`, "webpush.name: FCM sets the name of each message: leave it out"},

		{"FD", "notification", `{"title": {}}`, "notification.title: it is an object, not a string: put it in quotes"},
		{"FD", "android", `{"notification": "x"}`, "android.notification: it is a string, not an object: put its members in braces"},
		{"FD", "android", `{"direct_boot_ok": "true"}`, "android.direct_boot_ok: it is a string, not true or false, without quotes"},
		{"firebase-admin-python#369", "android", shown(`"sticky": 1`), at + "sticky: it is a number, not true or false, without quotes"},
		{"FD", "android", `{"ttl": 3600}`, `android.ttl: it is a number, not a string such as "3600s"`},
		{"FD", "android", `{"ttl": ""}`, `android.ttl: "" is not a number of seconds such as "3600s", of at most four weeks (2419200s)`},
		{"FD", "android", `{"ttl": "-1s"}`, `android.ttl: "-1s" is not a number of seconds such as "3600s", of at most four weeks (2419200s)`},
		{"FD", "android", `{"ttl": "3600"}`, `android.ttl: "3600" is not a number of seconds such as "3600s", of at most four weeks (2419200s)`},
		{"FD", "android", `{"ttl": "1h"}`, `android.ttl: "1h" is not a number of seconds such as "3600s", of at most four weeks (2419200s)`},
		{"FD", "android", `{"ttl": "2419200.1s"}`, `android.ttl: "2419200.1s" is not a number of seconds such as "3600s", of at most four weeks (2419200s)`},
		{"FD", "android", `{"ttl": "999999999999s"}`, `android.ttl: "999999999999s" is not a number of seconds such as "3600s", of at most four weeks (2419200s)`},
		{"PJ: nine digits", "android", `{"ttl": "1.0000000001s"}`, `android.ttl: "1.0000000001s" is not a number of seconds such as "3600s", of at most four weeks (2419200s)`},
		{"FD", "android", shown(`"vibrate_timings": ["1s", "2"]`), at + `vibrate_timings[1]: "2" is not a number of seconds such as "3600s"`},
		{"FD", "android", shown(`"vibrate_timings": "1s"`), at + `vibrate_timings: it is a string, not a list: put it in brackets`},
		{"FD", "android", shown(`"title_loc_key": "k", "title_loc_args": [null]`), at + `title_loc_args[0]: it is null, not a string: put it in quotes`},
		{"FG", "android", shown(`"titleLocArgs": ["x"]`), at + "title_loc_args: it requires title_loc_key, which is missing: set that too"},
		{"FG", "android", shown(`"body_loc_args": ["x"], "body_loc_key": ""`), at + "body_loc_args: it requires body_loc_key, which is missing: set that too"},
		{"FD", "android", shown(`"color": "#0f8"`), at + `color: "#0f8" is not a color such as "#00ff80"`},
		{"FD", "android", shown(`"event_time": "31.1.2026"`), at + `event_time: "31.1.2026" is not a time such as "2026-01-31T12:00:00Z"`},
		{"FD", "android", shown(`"visibility": "HIDDEN"`), at + `visibility: "HIDDEN" is not one of VISIBILITY_UNSPECIFIED, PRIVATE, PUBLIC, SECRET`},
		{"FD", "android", `{"priority": 10}`, `android.priority: it is a number, not one of NORMAL, HIGH`},
		{"FD", "android", shown(`"notification_count": 2147483648`), at + "notification_count: 2147483648 is not a whole number from -2147483648 to 2147483647"},
		{"FD", "android", shown(`"notification_count": 1.5`), at + "notification_count: 1.5 is not a whole number from -2147483648 to 2147483647"},
		{"FD", "android", shown(`"notification_count": "1"`), at + "notification_count: it is a string, not a whole number, without quotes"},
		{"FG", "android", shown(`"image": "picture"`), at + `image: "picture" is not an image URL such as "https://example.org/image.png"`},
		{"FD", "android", shown(`"light_settings": {}`), at + "light_settings.color: it is missing: FCM requires it here"},
		{
			"FD", "android", shown(`"light_settings": {"color": {"red": 1.1}}`),
			at + "light_settings.color.red: 1.1 is not a number from 0 to 1",
		},
		{"FD", "android", shown(`"light_settings": {"color": "#00ff80"}`), at + "light_settings.color: it is a string, not an object: put its members in braces"},
		{"send/v2-api", "android_v2", `{}`, "android_v2: FCM requires exactly one of remote_notification and background_sync"},
		{
			"send/v2-api", "android_v2", `{"background_sync": {}, "remoteNotification": {"notification": {}}}`,
			"android_v2: FCM requires exactly one of remote_notification and background_sync",
		},
		{"firebase-admin-java#1227", "android_v2", `{"remote_notification": {}}`, "android_v2.remote_notification.notification: it is missing: FCM requires it here"},
		{"send/v2-api", "android_v2", `{"priority": "high"}`, "android_v2.priority: FCM's v1 API has no such member: leave it out"},
		{"send/v2-api", "android_v2", `{"backgroundSync": {"x": 1}}`, "android_v2.backgroundSync.x: FCM's v1 API has no such member: leave it out"},
		{"FD", "webpush", `{"headers": {"TTL": 60}}`, "webpush.headers.TTL: it is a number, not a string: put it in quotes"},
		{"FD", "webpush", `{"headers": []}`, `webpush.headers: it is a list, not an object of strings such as {"name": "value"}`},
		{"FD", "webpush", `{"notification": "x"}`, "webpush.notification: it is a string, not an object: put its members in braces"},
		{"WHATWG", "webpush", `{"notification": {"dir": 1}}`, `webpush.notification.dir: 1 is not a direction: write "auto", "ltr" or "rtl"`},
		{"FD", "webpush", `{"fcm_options": {"link": "http://example.org/"}}`, `webpush.fcm_options.link: "http://example.org/" is not an https URL such as "https://example.org/"`},
		{"understand-delivery", "fcm_options", `{"analytics_label": "a b"}`, `fcm_options.analytics_label: "a b" is not a label of at most 50 letters, digits and -_.~% such as "matrix"`},
		{"FD", "apns", `{"payload": {"aps": "x"}}`, `apns.payload.aps: it is a string, not an object such as {"alert": {"title": "New message"}}`},
		{"Apple", "apns", `{"payload": {"aps": {"sound": {"volume": "loud"}}}}`, `apns.payload.aps.sound.volume: "loud" is not a volume: write a number from 0 to 1`},
		{"Struct has doubles", "apns", `{"payload": {"a": [1, {"b": 1e999}]}}`, `apns.payload.a[1].b: the number 1e999 is too large`},
	}
	for _, test := range tests {
		t.Run(test.part+" "+test.given, func(t *testing.T) {
			t.Parallel()
			if got, err := Read(test.part, []byte(test.given)); err == nil || err.Error() != test.want {
				t.Errorf("%s: got %v, %v\nwant %s", test.source, got, err, test.want)
			}
		})
	}
}

func TestAnErrorShowsAsMuchOfAValueAsAPersonReads(t *testing.T) {
	t.Parallel()
	for _, given := range []string{
		`{"` + strings.Repeat("x", 10_000) + `": 1}`, `{"ttl": "` + strings.Repeat("x", 10_000) + `"}`, `{"ttl": "a\nb` + "\u2028" + `"}`,
		`{"notification": {"notification_count": ` + strings.Repeat("1", 10_000) + `}}`, `{"ttl": "` + strings.Repeat("é", 1000) + `"}`,
	} {
		_, err := Read("android", []byte(given))
		if err == nil || len(err.Error()) > 250 || strings.ContainsAny(err.Error(), "\n\u2028\ufffd") {
			t.Errorf("%.40s: %.300v", given, err)
		}
	}
}

func TestTheNearestMemberIsNamedIfOneIsNear(t *testing.T) {
	t.Parallel()
	tests := []struct {
		object     *Object
		name, want string
	}{
		{notification, "titel", "title"},
		{notification, "Title", "title"},
		{notification, "bodi", "body"},
		{notification, "imgae", "image"},
		{notification, "text", ""},
		{notification, "picture", ""},
		{notification, "", ""},
		{notification, strings.Repeat("title", 1000), ""},
		{android, "collapse_keys", "collapse_key"},
		{android, "colapseKey", "collapseKey"},
		{android, "CollapseKey", "collapseKey"},
		{android, "direct_boot_okay", "direct_boot_ok"},
		{android, "directBootOK", "directBootOk"},
		{android, "tll", "ttl"},
		{android, "tag", ""},
		{android, "dato", ""}, // data is not for the operator to set
		{apns, "live_activity_tokn", "live_activity_token"},
		{webpush, "header", "headers"},
		{Message, "anroid", "android"},
		{Message, "web_push", "webpush"},
		{Message, "fcmoptions", "fcm_options"},
		{Message, "content_available", ""},
	}
	for _, test := range tests {
		if got := test.object.Nearest(test.name); got != test.want {
			t.Errorf("%.20q is near %q, want %q", test.name, got, test.want)
		}
	}
}

// FuzzRead wants Read to accept its own result unchanged, and each error to be one line that names the part.
func FuzzRead(f *testing.F) {
	for _, part := range Message.Names() {
		f.Add(part, `{"ttl": "3.5s", "collapseKey": "x", "notification": {"titleLocKey": "k", "title_loc_args": ["a"]}}`)
		f.Add(part, `{"backgroundSync": {}, "headers": {"a": "b"}, "payload": {"aps": {"sound": {"volume": 1}}}}`)
		f.Add(part, `{"fcm_options": {"analyticsLabel": "x"}, "fcmOptions": null, "title": 1e999}`)
	}
	f.Fuzz(func(t *testing.T, part, raw string) {
		got, err := Read(part, []byte(raw))
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, part) {
				t.Errorf("%s: %v", raw, err)
			}
			return
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(part, written)
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%s becomes %s, and that %v (%v)", raw, written, again, err)
		}
	})
}
