package sygnal

import (
	"encoding/json"
	"errors"
	"slices"
)

// gcm reads an app of type gcm.
func (a *app) gcm() {
	const noLegacy = "Google has turned the legacy API off: nothing is delivered through it any more, and Sygnal takes what it answers for " +
		"dead pushkeys. Get the key of a service account (docs/fcm.md), then set api_version: v1, service_account_file and project_id"
	const key = "api_version"
	switch version := a.text(key); {
	case version == "v1":
		a.set("project_id", a.required("project_id", "api_version v1 wants it"))
		a.setFile("credentials_file", "service_account_file", a.required("service_account_file", "api_version v1 wants it"))
	case version == "legacy":
		a.fail(a.line(key), a.at(key), noLegacy)
	case a.value.member(key) == nil:
		a.fail(a.value.line, a.at(key), "it is missing, which Sygnal takes for legacy. "+noLegacy)
	case version != "":
		a.fail(a.line(key), a.at(key), "%q is neither v1 nor legacy", version)
	}
	a.drop("api_key", "it is for the legacy API, which Google has turned off")
	a.fcmOptions()
	a.maxConnections()
	a.badges()
	a.full()
}

// fcmOptions reads what Sygnal puts into each message.
func (a *app) fcmOptions() {
	const key = "fcm_options"
	m := a.take(key)
	if m == nil {
		return
	}
	if m.value.kind != mapping {
		a.fail(m.line, a.at(key), "it is %s, not a mapping", m.value.kind)
		return
	}
	options := a.read(m.value, a.at(key))
	for _, o := range m.value.members {
		switch o.key {
		case "notification", "android", "apns", "webpush":
			options.ignore(o.key)
			a.fcmOption(options, o)
		case "data", "token", "priority", "to", "registration_ids":
			options.drop(o.key, "Sygnal overwrites it in every message")
		case "name", "topic", "condition":
			options.drop(o.key, "a message goes to a token, and FCM refuses one with both")
		case "fcm_options":
			options.drop(o.key, "this gateway has no option for labels of FCM's analytics")
		default:
			options.drop(o.key, "FCM's v1 API knows no such member of a message")
		}
	}
}

func (a *app) fcmOption(options *section, o member) {
	if o.value.kind != mapping {
		a.fail(o.line, options.at(o.key), "it is %s, not a mapping", o.value.kind)
		return
	}
	if o.key == "android" {
		if android := options.read(o.value, options.at(o.key)); o.value.member("priority") != nil {
			android.drop("priority", "Sygnal overwrites it in every message")
			o.value = o.value.without("priority")
		}
	}
	v, err := o.value.jsonable()
	if err == nil {
		var raw []byte
		raw, err = json.Marshal(v)
		a.config.Provider[o.key] = json.RawMessage(raw)
	}
	if err != nil {
		a.fail(o.line, options.at(o.key), "%s", err)
	}
}

// without is a mapping without a key.
func (v *value) without(key string) *value {
	less := *v
	less.members = slices.DeleteFunc(slices.Clone(v.members), func(m member) bool { return m.key == key })
	return &less
}

var errNoJSON = errors.New("there is something in it that JSON cannot say")

// jsonable is a value as encoding/json takes it.
func (v *value) jsonable() (any, error) {
	switch v.kind {
	case list:
		items := make([]any, len(v.items))
		for i, item := range v.items {
			var err error
			if items[i], err = item.jsonable(); err != nil {
				return nil, err
			}
		}
		return items, nil
	case mapping:
		members := make(map[string]any, len(v.members))
		for _, m := range v.members {
			var err error
			if members[m.key], err = m.value.jsonable(); err != nil {
				return nil, err
			}
		}
		return members, nil
	case decimal:
		if f := v.scalar.(float64); f-f != 0 { // infinite, or not a number
			return nil, errNoJSON
		}
	}
	return v.scalar, nil
}
