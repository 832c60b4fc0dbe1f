package fcm

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/fcmmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// maxData is what FCM accepts of data and notification together,
// https://firebase.google.com/docs/cloud-messaging/customize-messages/set-message-type.
const maxData = 4096

// object is a JSON object in a message.
type object = map[string]any

// form is the kind of message that a push gets.
type form int

const (
	formAlert form = iota
	formLow
	formBadge
	forms
)

// template is what the operator puts into each message, written once for each form: a push adds its own values.
type template struct {
	// messages are by form, without and with a number for the app's icon.
	messages [forms][2]skeleton
	// room is how many bytes remain for data.
	room int
}

// newTemplate reads the options by FCM's own schema, so loading finds what FCM would not accept.
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
		return nil, errors.New("notification: leaves too little room for data: make it shorter")
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

// parts returns the options that each fill a part of the message.
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
		return nil, errors.New("android_v2: replaces android: leave out one of them")
	}
	return parts, nil
}

// badgeKey lets a badge update replace an earlier one that is pending for the device.
const badgeKey = "badge"

// message returns a message of a form, with slots for the values of each push.
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

// androidConfig returns the configuration for Android. A badge update shows no notification.
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

// androidV2Config returns the same in the second form, whose members decide how urgent it is,
// https://firebase.google.com/docs/cloud-messaging/send/v2-api.
func androidV2Config(part object, f form) object {
	config := expiring(part, f)
	if f == formBadge && config["remote_notification"] != nil {
		delete(config, "remote_notification")
		config["background_sync"] = object{}
	}
	return config
}

// expiring adds what both forms for Android have of each push, unless the operator sets it.
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

// apnsConfig returns the configuration for Apple devices with each push's headers for APNs, unless the operator sets them.
func apnsConfig(part object, f form, counted bool) object {
	config := maps.Clone(part)
	headers := object{"apns-priority": "10", "apns-expiration": slotExpiration}
	if f != formAlert {
		headers["apns-priority"] = "5"
	}
	if own, ok := part["headers"].(object); ok {
		for name, value := range own { // names of headers ignore case
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

// aps returns Apple's part of a payload, which a payload always has.
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

// lacking returns an object without a member.
func lacking(o object, name string) object {
	less := maps.Clone(o)
	delete(less, name)
	return less
}
