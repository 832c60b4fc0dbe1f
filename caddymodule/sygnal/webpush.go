package sygnal

import (
	"strings"
	"time"
)

// webpush reads an app of type webpush. Its content is full by default.
func (a *app) webpush() {
	a.setFile("vapid_key_file", "vapid_private_key", a.required("vapid_private_key", "set it to the file of the VAPID private key"))
	const key = "vapid_contact_email"
	email := a.required(key, "set it to an e-mail address")
	if bare, ok := strings.CutPrefix(email, "mailto:"); ok {
		a.warn(a.line(key), a.at(key), "Sygnal would send mailto:mailto: to push services; this gateway sends mailto: once")
		email = bare
	}
	if email != "" {
		a.set("vapid_subject", "mailto:"+email)
	}
	a.ttl()
	a.updates()
	a.allowedEndpoints()
	a.maxConnections()
	if a.adaptation.proxy != "" {
		a.warn(a.value.line, a.path, "with a proxy, the proxy resolves the endpoints' names, and must refuse those that resolve to "+
			"your network")
	}
}

// ttl reads how many seconds a push service keeps a push. Here, it is how long a push is worth delivering.
func (a *app) ttl() {
	const key = "ttl"
	const fourWeeks = 4 * 7 * 24 * 60 * 60 // more than any push service keeps
	seconds := a.number(key, 0, fourWeeks, 15*60)
	if seconds == 0 && a.value.member(key) != nil {
		a.warn(a.line(key), a.at(key), "0 means delivery at once or never, which this gateway does not offer: the TTL is set to one minute")
		seconds = 60
	}
	a.config.TTL = (time.Duration(seconds) * time.Second).String()
}

// updates keeps the badge updates that Sygnal sends to browsers, although this gateway's default for webpush is with_events. Sygnal has no
// key that turns them off for this type.
func (a *app) updates() {
	a.config.Badges = "on"
	a.warn(a.value.line, a.path, "sends badge updates as Sygnal does (badges on), but browsers cancel a subscription that gets pushes "+
		"without a notification to show: Firefox after about 25, Safari after three. Next: set badges with_events in the configuration that "+
		"caddy adapt writes, or make clients register with events_only: true: docs/sygnal.md")
}

// allowedEndpoints reads which push services Sygnal may use. An empty list allows all.
func (a *app) allowedEndpoints() {
	const key = "allowed_endpoints"
	if len(a.texts(key)) > 0 {
		a.warn(a.line(key), a.at(key), "not carried over: this gateway has no list of push services. It reaches all endpoints on the "+
			"public internet, over https, but nothing in your network, whatever a name resolves to")
	}
}
