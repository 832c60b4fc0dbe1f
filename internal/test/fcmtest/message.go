package fcmtest

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// maxPayload and maxTTL: INVALID_ARGUMENT in https://firebase.google.com/docs/cloud-messaging/error-codes.
	maxPayload = 4096
	maxTTL     = 4 * 7 * 24 * time.Hour
	// maxValue is a rule of this fake only. If a value in a notification's data is longer, somebody forgot to cut it.
	maxValue = 1024
)

var (
	// tokenForm is the form of registration tokens, which Google does not document. The shortest known is a Firebase installation ID, 22.
	tokenForm = regexp.MustCompile(`^[A-Za-z0-9_:-]{20,}$`)
	// topicForm is the form that Google's own SDKs accept, https://github.com/firebase/firebase-admin-go, messaging.go.
	topicForm = regexp.MustCompile(`^[a-zA-Z0-9_.~%-]+$`)
	// labelForm: https://firebase.google.com/docs/cloud-messaging/understand-delivery.
	labelForm = regexp.MustCompile(`^[a-zA-Z0-9_.~%-]{1,50}$`)
)

// asRequest reads the body of messages:send. The schema is that of the discovery document, revision 20260619:
// https://fcm.googleapis.com/$discovery/rest?version=v1.
func asRequest(c *check, at string, raw json.RawMessage) {
	asObject("SendMessageRequest", map[string]field{
		"message": asMessage,
		"validate_only": func(c *check, at string, raw json.RawMessage) {
			asBool(c, at, raw)
			c.validateOnly = string(raw) == "true"
		},
	})(c, at, raw)
	if c.message == nil && len(c.syntax) == 0 {
		c.breaks("message", noRecipient)
	}
}

const noRecipient = "Recipient of the message is not set."

var messageSchema = asObject("Message", map[string]field{
	"name":         asString,
	"data":         func(c *check, at string, raw json.RawMessage) { c.data = c.payload(at, raw) },
	"notification": asObject("Notification", map[string]field{"title": asString, "body": asString, "image": asString}),
	"android":      asAndroid,
	"android_v2":   asAndroidV2,
	"webpush": asObject("WebpushConfig", map[string]field{
		"headers": asStrings, "data": asStrings, "notification": asStruct,
		"fcm_options": asObject("WebpushFcmOptions", map[string]field{"link": asString, "analytics_label": asLabel}),
	}),
	"apns": asObject("ApnsConfig", map[string]field{
		"headers": asStrings, "payload": asAPNs, "live_activity_token": asString,
		"fcm_options": asObject("ApnsFcmOptions", map[string]field{"image": asString, "analytics_label": asLabel}),
	}),
	"fcm_options": asObject("FcmOptions", map[string]field{"analytics_label": asLabel}),
	"token": func(c *check, at string, raw json.RawMessage) {
		c.token = c.match(at, raw, tokenForm, invalidToken)
	},
	"fid": func(c *check, at string, raw json.RawMessage) {
		asString(c, at, raw)
		_ = json.Unmarshal(raw, &c.fid)
	},
	"topic":     func(c *check, at string, raw json.RawMessage) { c.match(at, raw, topicForm, "Invalid topic name") },
	"condition": asString,
})

var asAndroid = asObject("AndroidConfig", both(androidFields, map[string]field{
	"priority": asEnum("AndroidMessagePriority", "NORMAL", "HIGH"),
	"notification": asObject("AndroidNotification", both(shown, map[string]field{
		"bypass_proxy_notification": asBool,
		"proxy":                     asEnum("AndroidNotification.Proxy", "PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
	})),
}))

// androidV2Schema: https://firebase.google.com/docs/cloud-messaging/send/v2-api.
var androidV2Schema = asObject("AndroidConfigV2", both(androidFields, map[string]field{
	"remote_notification": asObject("AndroidRemoteNotification", map[string]field{
		"mutable_content": asBool, "use_as_v1_data_message": asBool,
		"notification": asObject("AndroidNotificationV2", both(shown, map[string]field{"id": asInt32})),
	}),
	"background_sync": asObject("AndroidBackgroundSyncMessage", nil),
}))

// both returns the fields of both maps.
func both(a, b map[string]field) map[string]field {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// androidFields are the fields of both configurations for Android.
var androidFields = map[string]field{
	"collapse_key":             asString,
	"ttl":                      asTTL,
	"restricted_package_name":  asString,
	"data":                     func(c *check, at string, raw json.RawMessage) { c.payload(at, raw) },
	"fcm_options":              asObject("AndroidFcmOptions", map[string]field{"analytics_label": asLabel}),
	"direct_boot_ok":           asBool,
	"bandwidth_constrained_ok": asBool,
	"restricted_satellite_ok":  asBool,
}

// shown are the fields of a notification that both configurations have.
var shown = map[string]field{
	"title": asString, "title_loc_key": asString, "title_loc_args": asList(asString),
	"body": asString, "body_loc_key": asString, "body_loc_args": asList(asString),
	"icon": asString, "color": asString, "sound": asString, "tag": asString, "image": asString, "ticker": asString,
	"click_action": asString, "channel_id": asString,
	"sticky": asBool, "local_only": asBool,
	"default_sound": asBool, "default_vibrate_timings": asBool, "default_light_settings": asBool,
	"event_time": asTimestamp, "vibrate_timings": asList(asDuration), "notification_count": asInt32,
	"notification_priority": asEnum(
		"AndroidNotification.NotificationPriority",
		"PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX",
	),
	"visibility": asEnum("AndroidNotification.Visibility", "VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
	"light_settings": asObject("LightSettings", map[string]field{
		"color": asObject("Color", map[string]field{
			"red": asFloat, "green": asFloat, "blue": asFloat, "alpha": asFloat,
		}),
		"light_on_duration": asDuration, "light_off_duration": asDuration,
	}),
}

// asAndroidV2 reads the second configuration for Android. It must be for exactly one kind of message.
func asAndroidV2(c *check, at string, raw json.RawMessage) {
	androidV2Schema(c, at, raw)
	members, ok := membersOf(raw)
	kinds := 0
	for _, m := range members {
		if name := m.name; string(m.value) != "null" && slices.Contains(messageKinds, name) {
			kinds++
		}
	}
	if ok && kinds != 1 {
		c.breaks(at, "Exactly one of remote_notification or background_sync must be specified")
	}
}

var messageKinds = []string{"remote_notification", "remoteNotification", "background_sync", "backgroundSync"}

// asMessage reads the message object. It must have exactly one target.
func asMessage(c *check, at string, raw json.RawMessage) {
	c.message = raw
	messageSchema(c, at, raw)
	members, ok := membersOf(raw)
	targets, androids := 0, 0
	for _, m := range members {
		switch m.name {
		case "android", "android_v2", "androidV2":
			if string(m.value) != "null" {
				androids++
			}
		case "token", "fid", "topic", "condition":
			if string(m.value) == "null" {
				continue
			}
			if targets++; targets > 1 {
				c.bad(at, "Invalid value at '%s' (oneof), oneof field 'target' is already set. Cannot set '%s'", at, m.name)
			}
		}
	}
	if ok && targets == 0 {
		c.breaks(at, noRecipient)
	}
	if androids > 1 { // a rule of Firebase's SDKs: https://github.com/firebase/firebase-admin-node/pull/3205
		c.breaks(at, "Only one of android and android_v2 may be specified")
	}
}

// match reads a string of a certain form.
func (c *check) match(at string, raw json.RawMessage, form *regexp.Regexp, otherwise string) (value string) {
	if json.Unmarshal(raw, &value) != nil {
		asString(c, at, raw)
	} else if !form.MatchString(value) {
		c.breaks(at, otherwise)
	}
	return value
}

func asLabel(c *check, at string, raw json.RawMessage) {
	c.match(at, raw, labelForm, "Invalid analytics label")
}

func asTTL(c *check, at string, raw json.RawMessage) {
	if ttl, ok := c.duration(at, raw); ok && (ttl < 0 || ttl > maxTTL) {
		c.breaks(at, "The ttl is not between 0 and 4 weeks")
	}
}

// payload reads the data for an Android app. Reserved words: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages. By
// https://firebase.google.com/docs/cloud-messaging/error-codes, all names that begin with gcm. are reserved, too.
func (c *check) payload(at string, raw json.RawMessage) map[string]string {
	values := c.strings(at, raw)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values[key]
		size += len(key) + len(value)
		if key == "from" || key == "message_type" || strings.HasPrefix(key, "google.") || strings.HasPrefix(key, "gcm.") {
			c.breaks(at, "Invalid data payload key: "+key)
		}
		if len(value) > maxValue {
			c.record(at, "the value of "+key+" has more than 1024 bytes")
		}
	}
	if size > maxPayload {
		c.breaks(at, "Android message is too big")
	}
	return values
}

// asAPNs reads a payload for Apple's service. It must have a dictionary aps and at most 4096 bytes.
func asAPNs(c *check, at string, raw json.RawMessage) {
	asStruct(c, at, raw)
	members, ok := membersOf(raw)
	found := !ok
	for _, m := range members {
		if m.name == "aps" {
			found = true
			asStruct(c, at+".aps", m.value)
		}
	}
	if !found {
		c.record(at, "there is no aps")
	}
	if len(raw) > maxPayload {
		c.breaks(at, "iOS message is too big")
	}
}
