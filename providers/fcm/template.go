package fcm

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/fcmmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// maxData is what FCM takes of data and notification together,
// https://firebase.google.com/docs/cloud-messaging/customize-messages/set-message-type.
const maxData = 4096

// object is a JSON object in a message.
type object = map[string]any

// form is which of an app's messages a push gets.
type form int

const (
	formAlert form = iota
	formLow
	formBadge
	forms
)

// template is what the operator wants in each message, written once for each form: a push adds what is its own.
type template struct {
	// messages are by form, without and with a number for the app's icon.
	messages [forms][2]skeleton
	// room is how many bytes it leaves for data.
	room int
}

// newTemplate reads the options by FCM's own schema, so that what FCM would not take is found while loading.
func newTemplate(p *Provider) (*template, error) {
	parts, err := p.parts()
	if err != nil {
		return nil, err
	}
	t := &template{room: maxData}
	if shown, ok := parts["notification"]; ok {
		t.room -= len(clientjson.Marshal(shown))
	}
	if t.room < maxData/2 {
		return nil, errors.New("notification: it leaves too little room for data: make it shorter")
	}
	target := slotToken
	if p.Target == targetFID {
		target = slotFID
	}
	for f := range forms {
		for counted := range t.messages[f] {
			t.messages[f][counted] = newSkeleton(message(parts, f, counted == 1, target))
		}
	}
	return t, nil
}

// parts are the options that fill a part of the message each.
func (p *Provider) parts() (map[string]object, error) {
	parts := make(map[string]object)
	for _, option := range []struct {
		name string
		raw  json.RawMessage
	}{
		{"notification", p.Notification},
		{"android", p.Android},
		{"android_v2", p.AndroidV2},
		{"apns", p.APNS},
		{"webpush", p.Webpush},
		{"fcm_options", p.FCMOptions},
	} {
		if option.raw == nil {
			continue
		}
		part, err := fcmmessage.Read(option.name, option.raw)
		if err != nil {
			return nil, err
		}
		parts[option.name] = part
	}
	// Firebase's SDKs refuse both: https://github.com/firebase/firebase-admin-node/pull/3205.
	if parts["android"] != nil && parts["android_v2"] != nil {
		return nil, errors.New("android_v2: it takes the place of android: leave one of them out")
	}
	return parts, nil
}

// badgeKey lets a badge update take the place of an earlier one that waits for the device.
const badgeKey = "badge"

// message is a message of a form, with slots for what is a push's own.
func message(parts map[string]object, f form, counted bool, target slot) object {
	m := object{target.member(): target, "data": slotData}
	for name, part := range parts {
		m[name] = part
	}
	if f == formBadge {
		delete(m, "notification")
	}
	if part, ok := parts["webpush"]; ok && f == formBadge {
		m["webpush"] = lacking(part, "notification")
	}
	if part, ok := parts["android_v2"]; ok {
		m["android_v2"] = androidV2Config(part, f)
	} else {
		m["android"] = androidConfig(parts["android"], f)
	}
	if part, ok := parts["apns"]; ok {
		m["apns"] = apnsConfig(part, f, counted)
	}
	return m
}

// androidConfig is the configuration for Android. A badge update is no news: nothing is shown.
func androidConfig(part object, f form) object {
	config := expiring(part, f)
	config["priority"] = "high"
	if f != formAlert {
		config["priority"] = "normal" // FCM slows down apps that wake a device and show nothing
	}
	if f == formBadge {
		delete(config, "notification")
	}
	return config
}

// androidV2Config is the same in the second form, where what is in it decides how urgent it is,
// https://firebase.google.com/docs/cloud-messaging/send/v2-api.
func androidV2Config(part object, f form) object {
	config := expiring(part, f)
	if f == formBadge && config["remote_notification"] != nil {
		delete(config, "remote_notification")
		config["background_sync"] = object{}
	}
	return config
}

// expiring is a configuration for Android with what both forms have of each push, unless the operator says otherwise.
func expiring(part object, f form) object {
	config := make(object, len(part)+3)
	maps.Copy(config, part)
	if config["ttl"] == nil {
		config["ttl"] = slotTTL
	}
	if key := config["collapse_key"]; f == formBadge && (key == nil || key == "") {
		config["collapse_key"] = badgeKey
	}
	return config
}

// apnsConfig is the configuration for Apple devices with what APNs is told of each push, unless the operator says otherwise.
func apnsConfig(part object, f form, counted bool) object {
	config := maps.Clone(part)
	headers := object{"apns-priority": "10", "apns-expiration": slotExpiration}
	if f != formAlert {
		headers["apns-priority"] = "5"
	}
	if own, ok := part["headers"].(object); ok {
		for name, value := range own { // names of headers are the same in any case
			delete(headers, strings.ToLower(name))
			headers[name] = value
		}
	}
	config["headers"] = headers
	own, ok := part["payload"].(object)
	if !ok && !counted {
		return config
	}
	content := make(object, len(own)+1)
	maps.Copy(content, own)
	content["aps"] = aps(own, f, counted)
	config["payload"] = content
	return config
}

// aps is Apple's part of a payload, which a payload always has.
func aps(content object, f form, counted bool) object {
	own, _ := content["aps"].(object)
	members := make(object, len(own)+1)
	for name, value := range own {
		if f == formBadge && (strings.EqualFold(name, "alert") || strings.EqualFold(name, "sound")) {
			continue
		}
		members[name] = value
	}
	if counted {
		members["badge"] = slotBadge
	}
	return members
}

// lacking is an object without a member.
func lacking(o object, name string) object {
	less := maps.Clone(o)
	delete(less, name)
	return less
}
