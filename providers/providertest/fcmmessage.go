package providertest

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// fcmMaxPayload and fcmMaxTTL: INVALID_ARGUMENT in https://firebase.google.com/docs/cloud-messaging/error-codes.
	fcmMaxPayload = 4096
	fcmMaxTTL     = 4 * 7 * 24 * time.Hour
	// fcmMaxValue is this fake's own: how long a value of a notification's data may be before somebody forgot to cut it.
	fcmMaxValue = 1024
)

var (
	// fcmToken is what a registration token looks like; Google does not say. The shortest known is a Firebase installation ID, 22.
	fcmToken = regexp.MustCompile(`^[A-Za-z0-9_:-]{20,}$`)
	// fcmTopic is what Google's own SDKs let pass, https://github.com/firebase/firebase-admin-go, messaging.go.
	fcmTopic = regexp.MustCompile(`^[a-zA-Z0-9_.~%-]+$`)
	// fcmLabel: https://firebase.google.com/docs/cloud-messaging/understand-delivery.
	fcmLabel = regexp.MustCompile(`^[a-zA-Z0-9_.~%-]{1,50}$`)
)

// fcmRequestSchema is the body of messages:send. The schema is that of the discovery document, revision 20260619:
// https://fcm.googleapis.com/$discovery/rest?version=v1.
func fcmRequestSchema(c *fcmCheck, at string, raw json.RawMessage) {
	fcmObject("SendMessageRequest", map[string]fcmField{
		"message": fcmReadMessage,
		"validate_only": func(c *fcmCheck, at string, raw json.RawMessage) {
			fcmBool(c, at, raw)
			c.validateOnly = string(raw) == "true"
		},
	})(c, at, raw)
	if c.message == nil && len(c.syntax) == 0 {
		c.breaks("message", fcmNoRecipient)
	}
}

const fcmNoRecipient = "Recipient of the message is not set."

var fcmMessageSchema = fcmObject("Message", map[string]fcmField{
	"name":         fcmString,
	"data":         func(c *fcmCheck, at string, raw json.RawMessage) { c.data = c.payload(at, raw) },
	"notification": fcmObject("Notification", map[string]fcmField{"title": fcmString, "body": fcmString, "image": fcmString}),
	"android":      fcmAndroid,
	"android_v2":   fcmReadAndroidV2,
	"webpush": fcmObject("WebpushConfig", map[string]fcmField{
		"headers": fcmStrings, "data": fcmStrings, "notification": fcmStruct,
		"fcm_options": fcmObject("WebpushFcmOptions", map[string]fcmField{"link": fcmString, "analytics_label": fcmReadLabel}),
	}),
	"apns": fcmObject("ApnsConfig", map[string]fcmField{
		"headers": fcmStrings, "payload": fcmReadAPNs, "live_activity_token": fcmString,
		"fcm_options": fcmObject("ApnsFcmOptions", map[string]fcmField{"image": fcmString, "analytics_label": fcmReadLabel}),
	}),
	"fcm_options": fcmObject("FcmOptions", map[string]fcmField{"analytics_label": fcmReadLabel}),
	"token": func(c *fcmCheck, at string, raw json.RawMessage) {
		c.token = c.match(at, raw, fcmToken, fcmInvalidToken)
	},
	"fid": func(c *fcmCheck, at string, raw json.RawMessage) {
		fcmString(c, at, raw)
		_ = json.Unmarshal(raw, &c.fid)
	},
	"topic":     func(c *fcmCheck, at string, raw json.RawMessage) { c.match(at, raw, fcmTopic, "Invalid topic name") },
	"condition": fcmString,
})

var fcmAndroid = fcmObject("AndroidConfig", fcmBoth(fcmAndroidFields, map[string]fcmField{
	"priority": fcmEnum("AndroidMessagePriority", "NORMAL", "HIGH"),
	"notification": fcmObject("AndroidNotification", fcmBoth(fcmShown, map[string]fcmField{
		"bypass_proxy_notification": fcmBool,
		"proxy":                     fcmEnum("AndroidNotification.Proxy", "PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
	})),
}))

// fcmAndroidV2: https://firebase.google.com/docs/cloud-messaging/send/v2-api.
var fcmAndroidV2 = fcmObject("AndroidConfigV2", fcmBoth(fcmAndroidFields, map[string]fcmField{
	"remote_notification": fcmObject("AndroidRemoteNotification", map[string]fcmField{
		"mutable_content": fcmBool, "use_as_v1_data_message": fcmBool,
		"notification": fcmObject("AndroidNotificationV2", fcmBoth(fcmShown, map[string]fcmField{"id": fcmInt32})),
	}),
	"background_sync": fcmObject("AndroidBackgroundSyncMessage", nil),
}))

// fcmBoth are the fields of two maps.
func fcmBoth(a, b map[string]fcmField) map[string]fcmField {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// fcmAndroidFields are those of both configurations for Android.
var fcmAndroidFields = map[string]fcmField{
	"collapse_key":             fcmString,
	"ttl":                      fcmReadTTL,
	"restricted_package_name":  fcmString,
	"data":                     func(c *fcmCheck, at string, raw json.RawMessage) { c.payload(at, raw) },
	"fcm_options":              fcmObject("AndroidFcmOptions", map[string]fcmField{"analytics_label": fcmReadLabel}),
	"direct_boot_ok":           fcmBool,
	"bandwidth_constrained_ok": fcmBool,
	"restricted_satellite_ok":  fcmBool,
}

// fcmShown are the fields of what both configurations show.
var fcmShown = map[string]fcmField{
	"title": fcmString, "title_loc_key": fcmString, "title_loc_args": fcmList(fcmString),
	"body": fcmString, "body_loc_key": fcmString, "body_loc_args": fcmList(fcmString),
	"icon": fcmString, "color": fcmString, "sound": fcmString, "tag": fcmString, "image": fcmString, "ticker": fcmString,
	"click_action": fcmString, "channel_id": fcmString,
	"sticky": fcmBool, "local_only": fcmBool,
	"default_sound": fcmBool, "default_vibrate_timings": fcmBool, "default_light_settings": fcmBool,
	"event_time": fcmTimestamp, "vibrate_timings": fcmList(fcmDuration), "notification_count": fcmInt32,
	"notification_priority": fcmEnum(
		"AndroidNotification.NotificationPriority",
		"PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX",
	),
	"visibility": fcmEnum("AndroidNotification.Visibility", "VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
	"light_settings": fcmObject("LightSettings", map[string]fcmField{
		"color": fcmObject("Color", map[string]fcmField{
			"red": fcmFloat, "green": fcmFloat, "blue": fcmFloat, "alpha": fcmFloat,
		}),
		"light_on_duration": fcmDuration, "light_off_duration": fcmDuration,
	}),
}

// fcmReadAndroidV2 reads the second configuration for Android, which is for exactly one kind of message.
func fcmReadAndroidV2(c *fcmCheck, at string, raw json.RawMessage) {
	fcmAndroidV2(c, at, raw)
	members, ok := fcmMembers(raw)
	kinds := 0
	for _, m := range members {
		if name := m.name; string(m.value) != "null" && slices.Contains(fcmKinds, name) {
			kinds++
		}
	}
	if ok && kinds != 1 {
		c.breaks(at, "Exactly one of remote_notification or background_sync must be specified")
	}
}

var fcmKinds = []string{"remote_notification", "remoteNotification", "background_sync", "backgroundSync"}

// fcmReadMessage reads the message object. It is for exactly one target.
func fcmReadMessage(c *fcmCheck, at string, raw json.RawMessage) {
	c.message = raw
	fcmMessageSchema(c, at, raw)
	members, ok := fcmMembers(raw)
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
		c.breaks(at, fcmNoRecipient)
	}
	if androids > 1 { // as Firebase's SDKs have it: https://github.com/firebase/firebase-admin-node/pull/3205
		c.breaks(at, "Only one of android and android_v2 may be specified")
	}
}

// match reads a string of a certain form.
func (c *fcmCheck) match(at string, raw json.RawMessage, form *regexp.Regexp, otherwise string) (value string) {
	if json.Unmarshal(raw, &value) != nil {
		fcmString(c, at, raw)
	} else if !form.MatchString(value) {
		c.breaks(at, otherwise)
	}
	return value
}

func fcmReadLabel(c *fcmCheck, at string, raw json.RawMessage) {
	c.match(at, raw, fcmLabel, "Invalid analytics label")
}

func fcmReadTTL(c *fcmCheck, at string, raw json.RawMessage) {
	if ttl, ok := c.duration(at, raw); ok && (ttl < 0 || ttl > fcmMaxTTL) {
		c.breaks(at, "The ttl is not between 0 and 4 weeks")
	}
}

// payload reads data that an Android app is handed. Reserved words:
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages; all of gcm. is, too, says
// https://firebase.google.com/docs/cloud-messaging/error-codes.
func (c *fcmCheck) payload(at string, raw json.RawMessage) map[string]string {
	values := c.strings(at, raw)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values[key]
		size += len(key) + len(value)
		if key == "from" || key == "message_type" || strings.HasPrefix(key, "google.") || strings.HasPrefix(key, "gcm.") {
			c.breaks(at, "Invalid data payload key: "+key)
		}
		if len(value) > fcmMaxValue {
			c.record(at, "the value of "+key+" has more than 1024 bytes")
		}
	}
	if size > fcmMaxPayload {
		c.breaks(at, "Android message is too big")
	}
	return values
}

// fcmReadAPNs reads a payload for Apple's service, which has a dictionary aps and at most 4096 bytes.
func fcmReadAPNs(c *fcmCheck, at string, raw json.RawMessage) {
	fcmStruct(c, at, raw)
	members, ok := fcmMembers(raw)
	found := !ok
	for _, m := range members {
		if m.name == "aps" {
			found = true
			fcmStruct(c, at+".aps", m.value)
		}
	}
	if !found {
		c.record(at, "there is no aps")
	}
	if len(raw) > fcmMaxPayload {
		c.breaks(at, "iOS message is too big")
	}
}
