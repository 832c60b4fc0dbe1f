package sygnal

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/internal/fcmmessage"
)

// gcm reads an app of type gcm.
func (a *app) gcm() {
	const noLegacy = "Google has shut down the legacy API: it delivers nothing, and its answers make Sygnal reject the pushkeys. " +
		"Create a service account key (docs/fcm.md), then set api_version: v1, service_account_file and project_id"
	const key = "api_version"
	switch version := a.text(key); {
	case version == "v1":
		a.set("project_id", a.required("project_id", "api_version v1 requires it"))
		a.setFile("credentials_file", "service_account_file", a.required("service_account_file", "api_version v1 requires it"))
	case version == "legacy":
		a.fail(a.line(key), a.at(key), noLegacy)
	case a.value.member(key) == nil:
		a.fail(a.value.line, a.at(key), "missing, which means legacy to Sygnal. "+noLegacy)
	case version != "":
		a.fail(a.line(key), a.at(key), "%q is neither v1 nor legacy", version)
	}
	a.drop("api_key", "it is for the legacy API, which Google has shut down")
	a.fcmOptions()
	a.maxConnections()
	a.badges()
	a.full()
}

// fcmOptions reads the options that Sygnal adds to each message.
func (a *app) fcmOptions() {
	const key = "fcm_options"
	m := a.take(key)
	if m == nil {
		return
	}
	if m.value.kind != mapping {
		a.fail(m.line, a.at(key), "must be a mapping, not %s", m.value.kind)
		return
	}
	options := a.read(m.value, a.at(key))
	spelled := make(map[string]string)
	for _, o := range m.value.members {
		part, known := fcmmessage.Message.Member(o.key)
		switch {
		case slices.Contains([]string{"data", "token", "priority", "to", "registration_ids"}, o.key):
			options.drop(o.key, "Sygnal overwrites it in every message")
		case slices.Contains([]string{"name", "topic", "condition", "fid"}, o.key):
			options.drop(o.key, "a message has a token, and FCM refuses a message with both")
		case known == nil:
			options.drop(o.key, "FCM's v1 API has no such member in a message"+didYouMean(fcmmessage.Message, o.key))
		case spelled[part] != "":
			a.fail(o.line, options.at(o.key), "the same as %s: remove one of them", spelled[part])
		default:
			spelled[part] = o.key
			options.ignore(o.key)
			a.fcmOption(options, o, part, known)
		}
	}
}

// fcmOption converts a part of the message to an option of the provider.
func (a *app) fcmOption(options *section, o member, part string, known *fcmmessage.Object) {
	path := options.at(o.key)
	if o.value.kind != mapping {
		a.fail(o.line, path, "must be a mapping, not %s", o.value.kind)
		return
	}
	if part == "android" && o.value.member("priority") != nil {
		options.read(o.value, path).drop("priority", "Sygnal overwrites it in every message")
		o.value = o.value.without("priority")
	}
	v, err := a.fcmKnown(o.value, path, known).jsonable()
	if err == nil {
		var raw []byte
		raw, err = json.Marshal(v)
		a.config.Provider[part] = json.RawMessage(raw)
	}
	if err != nil {
		a.fail(o.line, path, "%s", err)
	}
}

// fcmKnown returns the members of a mapping that FCM knows, in any spelling. Sygnal passes on unknown members, and FCM refuses each message
// because of them. Here they are dropped, and the pushes arrive.
func (a *app) fcmKnown(v *value, path string, known *fcmmessage.Object) *value {
	s := a.read(v, path)
	kept := *v
	kept.members = nil
	for _, m := range v.members {
		name, inner := known.Member(m.key)
		switch why := known.Ours(m.key); {
		case why != "":
			s.drop(m.key, why)
			continue
		case name == "":
			s.drop(m.key, "FCM's v1 API has no such member"+didYouMean(known, m.key))
			continue
		case inner != nil && m.value.kind == mapping:
			m.value = a.fcmKnown(m.value, s.at(m.key), inner)
		}
		kept.members = append(kept.members, m)
	}
	return &kept
}

// didYouMean suggests the member that a key probably stands for, if there is one.
func didYouMean(known *fcmmessage.Object, key string) string {
	if near := known.Nearest(key); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// without returns the mapping without a key.
func (v *value) without(key string) *value {
	less := *v
	less.members = slices.DeleteFunc(slices.Clone(v.members), func(m member) bool { return m.key == key })
	return &less
}

var errNoJSON = errors.New("contains a value that JSON does not support")

// jsonable converts a value for encoding/json.
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
