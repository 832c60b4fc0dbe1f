package sygnal

import (
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/pushtype"
)

// pushTypes are the push types that Sygnal knows.
var pushTypes = []string{"alert", "background", "voip", "complication", "fileprovider", "mdm"}

// apns reads an app of type apns.
func (a *app) apns() {
	switch platform := a.text("platform"); platform {
	case "", "production", "prod":
	case "sandbox":
		a.set("environment", "sandbox")
	default:
		a.fail(a.line("platform"), a.at("platform"), "%q is neither production nor sandbox", platform)
	}
	a.appleCredential()
	pushType := a.text("push_type")
	if m := a.value.member("push_type"); m != nil && m.value.kind == text && !slices.Contains(pushTypes, pushType) {
		a.fail(m.line, a.at("push_type"), "%q is not valid: use one of %s", pushType, strings.Join(pushTypes, ", "))
	}
	a.set("push_type", pushType)
	a.typeFitsTopic(pushType)
	if !a.boolean("convert_device_token_to_hex", true) {
		a.warn(a.line("convert_device_token_to_hex"), a.at("convert_device_token_to_hex"), "not carried over: in all apps, a pushkey with "+
			"an even number of hexadecimal digits, at least 64, is used unchanged as the device token; any other is decoded as base64, even "+
			"where Sygnal would pass it on unchanged")
	}
	a.badges()
	a.full()
}

// typeFitsTopic refuses a push type that Apple would refuse with each push. With a certificate, which is not read here, the provider
// checks it.
func (a *app) typeFitsTopic(pushType string) {
	topic, _ := a.config.Provider["topic"].(string)
	if topic == "" || strings.Contains(topic, "{") { // the provider resolves placeholders
		return
	}
	if field, misfit := pushtype.Misfit(pushType, topic); misfit != "" {
		a.fail(a.line(field), a.at(field), "%s", misfit)
	}
}

// appleCredential reads a certificate, or a key if there is no certificate.
func (a *app) appleCredential() {
	certificate := a.text("certfile")
	if certificate != "" {
		a.setFile("certificate_file", "certfile", certificate)
		for _, key := range []string{"keyfile", "key_id", "team_id"} {
			a.drop(key, "with certfile, Sygnal does not read it, either")
		}
		a.drop("topic", "with certfile, Sygnal does not read it, either: the certificate determines the topic")
		return
	}
	const all = "without certfile, Sygnal requires keyfile, key_id, team_id and topic"
	a.setFile("key_file", "keyfile", a.required("keyfile", all))
	a.set("key_id", a.required("key_id", all))
	a.set("team_id", a.required("team_id", all))
	a.set("topic", a.required("topic", all))
}
