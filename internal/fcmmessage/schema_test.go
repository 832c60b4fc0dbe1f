package fcmmessage

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// documented lists all members that an operator may set, from the discovery document of FCM's v1 API (revision 20260619,
// https://fcm.googleapis.com/$discovery/rest?version=v1). Those below android_v2 are from AndroidConfigV2 of Firebase's SDKs
// (https://github.com/firebase/firebase-admin-java/pull/1227).
const documented = `
notification: title body image
android: collapse_key priority ttl restricted_package_name notification fcm_options direct_boot_ok bandwidth_constrained_ok
android: restricted_satellite_ok
android.fcm_options: analytics_label
android.notification: title body icon color sound tag image ticker click_action body_loc_key title_loc_key channel_id body_loc_args
android.notification: title_loc_args event_time sticky local_only default_sound default_vibrate_timings default_light_settings
android.notification: vibrate_timings notification_priority visibility notification_count light_settings proxy bypass_proxy_notification
android.notification.light_settings: color light_on_duration light_off_duration
android.notification.light_settings.color: red green blue alpha
android_v2: collapse_key ttl restricted_package_name fcm_options direct_boot_ok bandwidth_constrained_ok restricted_satellite_ok
android_v2: remote_notification background_sync
android_v2.fcm_options: analytics_label
android_v2.remote_notification: mutable_content use_as_v1_data_message notification
android_v2.remote_notification.notification: title body icon color sound tag image ticker click_action body_loc_key title_loc_key channel_id
android_v2.remote_notification.notification: body_loc_args title_loc_args event_time sticky local_only default_sound notification_priority
android_v2.remote_notification.notification: default_vibrate_timings default_light_settings vibrate_timings visibility notification_count
android_v2.remote_notification.notification: light_settings id
android_v2.remote_notification.notification.light_settings: color light_on_duration light_off_duration
android_v2.remote_notification.notification.light_settings.color: red green blue alpha
apns: headers payload fcm_options live_activity_token
apns.fcm_options: image analytics_label
webpush: headers data notification fcm_options
webpush.fcm_options: link analytics_label
fcm_options: analytics_label
`

// paths returns all members below an object that an operator may set.
func (o *Object) paths(at string) (paths []string) {
	for _, name := range o.Names() {
		if o.members[name].kind == kindOurs {
			continue
		}
		path := at + name
		paths = append(paths, path)
		if _, inner := o.Member(name); inner != nil {
			paths = append(paths, inner.paths(path+".")...)
		}
	}
	return paths
}

func TestTheSchemaIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	want := []string{"notification", "android", "android_v2", "apns", "webpush", "fcm_options"}
	for line := range strings.Lines(documented) {
		at, names, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for _, name := range strings.Fields(names) {
			want = append(want, at+"."+name)
		}
	}
	slices.Sort(want)
	got := Message.paths("")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		for _, path := range got {
			if !slices.Contains(want, path) {
				t.Errorf("%s is not documented", path)
			}
		}
		for _, path := range want {
			if !slices.Contains(got, path) {
				t.Errorf("%s is missing", path)
			}
		}
	}
}

// samples has a value for each kind.
var samples = map[kind]any{
	kindText: "x", kindBoolean: true, kindInteger: json.Number("7"), kindFraction: json.Number("0.5"), kindDuration: "3.5s",
	kindTimestamp: "2026-01-31T12:00:00.5Z", kindColor: "#00ff80", kindImage: "https://example.org/i.png", kindLink: "https://example.org/",
	kindLabel: "matrix", kindTexts: jsonObject{"any_Name": "x"}, kindFree: jsonObject{"any_Name": []any{nil, json.Number("1"), false}},
}

// sample returns an object with all of its members, in one spelling. leave is left out: it is one of two members that exclude each
// other.
func (o *Object) sample(spell func(i int, name string) string, leave string) jsonObject {
	sample := make(jsonObject)
	for i, name := range o.Names() {
		if m := o.members[name]; m.kind != kindOurs && name != leave {
			sample[spell(i, name)] = m.sample(spell, leave)
		}
	}
	return sample
}

func (m *member) sample(spell func(i int, name string) string, leave string) any {
	switch m.kind {
	case kindEnum:
		return m.values[len(m.values)-1]
	case kindList:
		return []any{m.of.sample(spell, leave), m.of.sample(spell, leave)}
	case kindObject:
		return m.object.sample(spell, leave)
	default:
		return samples[m.kind]
	}
}

func TestEveryMemberIsTakenInBothSpellingsAndWrittenInOne(t *testing.T) {
	t.Parallel()
	snake := func(_ int, name string) string { return name }
	spellings := map[string]func(int, string) string{
		"snake_case": snake,
		"camelCase":  func(_ int, name string) string { return camel(name) },
		"one and the other": func(i int, name string) string {
			if i%2 == 0 {
				return camel(name)
			}
			return name
		},
	}
	for name, spell := range spellings {
		for _, leave := range []string{"background_sync", "remote_notification"} {
			t.Run(name+" without "+leave, func(t *testing.T) {
				t.Parallel()
				for _, part := range Message.Names() {
					m := Message.members[part]
					if m.kind != kindObject {
						continue
					}
					raw, err := json.Marshal(m.object.sample(spell, leave))
					if err != nil {
						t.Fatal(err)
					}
					got, err := Read(part, raw)
					if want := m.object.sample(snake, leave); err != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("%s is read as %v (%v), want %v", raw, got, err, want)
					}
				}
			})
		}
	}
}

// The mapping is in https://protobuf.dev/programming-guides/json/; the rows are names of the discovery document.
func TestACamelCaseNameIsThatOfTheDiscoveryDocument(t *testing.T) {
	t.Parallel()
	for snake, want := range map[string]string{
		"ttl": "ttl", "collapse_key": "collapseKey", "android_v2": "androidV2", "use_as_v1_data_message": "useAsV1DataMessage",
		"title_loc_args": "titleLocArgs", "bandwidth_constrained_ok": "bandwidthConstrainedOk",
	} {
		if got := camel(snake); got != want {
			t.Errorf("%s becomes %s, want %s", snake, got, want)
		}
	}
}

func TestOfAPathOnlyNamesOfTheSchemaAreRepeated(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"message":                              "message",
		"message.token":                        "message.token",
		"message.token.dGVzdA1234567890":       "message.token",
		"message.data[0].value":                "message.data",
		"message.data.content_secret":          "message.data",
		"message.androidV2.backgroundSync":     "message.androidV2.backgroundSync",
		"message.android.notification.secret":  "message.android.notification",
		"message.apns.payload.aps.alert":       "message.apns.payload",
		"message.secret":                       "message",
		"token":                                "",
		"":                                     "",
		"messages.token":                       "",
		"message.android.vibrate_timings\n[0]": "message.android",
	} {
		if got := Known(path); got != want {
			t.Errorf("%q becomes %q, want %q", path, got, want)
		}
	}
}
