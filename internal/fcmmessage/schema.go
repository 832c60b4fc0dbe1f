// Package fcmmessage describes the message of FCM's HTTP v1 API as data, and checks the parts of it that an operator writes. The
// description is our own: Firebase's SDK for Go lacks members that the API accepts, so its structs must not decide what a configuration
// may contain.
//
// The members are those of the discovery document, https://fcm.googleapis.com/$discovery/rest?version=v1, and of
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages. AndroidConfigV2 is described at
// https://firebase.google.com/docs/cloud-messaging/send/v2-api.
package fcmmessage

import "time"

// MaxTTL is the longest time that FCM keeps a message,
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages#androidconfig.
const MaxTTL = 4 * 7 * 24 * time.Hour

// Message is the whole message.
var Message = newObject(members{
	"notification": object(notification),
	"android":      object(android),
	"android_v2":   object(androidV2),
	"apns":         object(apns),
	"webpush":      object(webpush),
	"fcm_options":  object(fcmOptions),

	"data":      ours("the gateway sets the data of each message"),
	"token":     ours(oursTarget),
	"fid":       ours(oursTarget),
	"topic":     ours(oursTarget),
	"condition": ours(oursTarget),
	"name":      ours("FCM sets the name of each message"),
})

const oursTarget = "the gateway sets the device that each message is for"

var (
	notification = newObject(members{"title": text, "body": text, "image": image})
	fcmOptions   = newObject(members{"analytics_label": label})
)

var android = newObject(common(members{
	"priority": enum("NORMAL", "HIGH"),
	"notification": object(newObject(shown(members{
		"proxy":                     enum("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
		"bypass_proxy_notification": boolean, // deprecated, and no longer in the discovery document
	}), locKeys)),
}))

// The two kinds exclude each other: https://firebase.google.com/docs/cloud-messaging/send/v2-api, and AndroidConfigV2 of Firebase's SDKs.
var androidV2 = newObject(common(members{
	"remote_notification": object(newObject(members{
		"mutable_content":        boolean,
		"use_as_v1_data_message": boolean,
		"notification":           object(newObject(shown(members{"id": integer}), locKeys)),
	}, needs("notification"))),
	"background_sync": object(newObject(nil)),
}), exactlyOne("remote_notification", "background_sync"))

// common adds the members that AndroidConfig and AndroidConfigV2 share.
func common(more members) members {
	return more.with(members{
		"collapse_key":             text,
		"ttl":                      {kind: kindDuration, max: MaxTTL},
		"restricted_package_name":  text,
		"data":                     ours("it would take the place of the notification's data"),
		"fcm_options":              object(fcmOptions),
		"direct_boot_ok":           boolean,
		"bandwidth_constrained_ok": boolean,
		"restricted_satellite_ok":  boolean,
	})
}

// shown adds the members that AndroidNotification and AndroidNotificationV2 share.
func shown(more members) members {
	return more.with(members{
		"title": text, "title_loc_key": text, "title_loc_args": list(text),
		"body": text, "body_loc_key": text, "body_loc_args": list(text),
		"icon": text, "color": color, "sound": text, "tag": text, "image": image, "ticker": text, "click_action": text, "channel_id": text,
		"sticky": boolean, "local_only": boolean,
		"default_sound": boolean, "default_vibrate_timings": boolean, "default_light_settings": boolean,
		"event_time": {kind: kindTimestamp}, "vibrate_timings": list(duration), "notification_count": integer,
		"notification_priority": enum(
			"PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX",
		),
		"visibility":     enum("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
		"light_settings": object(lightSettings),
	})
}

var lightSettings = newObject(members{
	"color":             object(newObject(members{"red": fraction, "green": fraction, "blue": fraction, "alpha": fraction})),
	"light_on_duration": duration, "light_off_duration": duration,
}, needs("color", "light_on_duration", "light_off_duration"))

var webpush = newObject(members{
	"headers": texts, "data": texts, "notification": {kind: kindFree, inside: direction},
	"fcm_options": object(newObject(members{"link": {kind: kindLink}, "analytics_label": label})),
})

var apns = newObject(members{
	"headers": texts, "payload": {kind: kindFree, inside: aps}, "live_activity_token": text,
	"fcm_options": object(newObject(members{"image": image, "analytics_label": label})),
})
