package sygnal

import (
	"strings"
	"time"
)

// webpush reads an app of type webpush. Its content is full by itself.
func (a *app) webpush() {
	a.setFile("vapid_key_file", "vapid_private_key", a.required("vapid_private_key", "the file of the VAPID private key"))
	const key = "vapid_contact_email"
	email := a.required(key, "an e-mail address")
	if bare, ok := strings.CutPrefix(email, "mailto:"); ok {
		a.warn(a.line(key), a.at(key), "Sygnal would say mailto:mailto: to push services; here it is said once")
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
		a.warn(a.value.line, a.path, "through a proxy, it is the proxy that resolves the endpoints' names, and has to refuse those that "+
			"lie in your network")
	}
}

// ttl reads for how many seconds a push service keeps a push. Here that is for how long a push is worth delivering at all.
func (a *app) ttl() {
	const key = "ttl"
	const fourWeeks = 4 * 7 * 24 * 60 * 60 // more than any push service keeps
	seconds := a.number(key, 0, fourWeeks, 15*60)
	if seconds == 0 && a.value.member(key) != nil {
		a.warn(a.line(key), a.at(key), "0 is for pushes that are delivered at once or never, which there are none of here: it is a minute")
		seconds = 60
	}
	a.config.TTL = (time.Duration(seconds) * time.Second).String()
}

// updates keeps the badge updates that Sygnal sends to browsers, although this gateway's default for webpush is with_events. No key of
// Sygnal's turns them off for this type.
func (a *app) updates() {
	a.config.Badges = "on"
	a.warn(a.value.line, a.path, "it sends badge updates as Sygnal does (badges on), and a browser cancels a subscription that gets pushes without "+
		"a notification to show: Firefox after about 25, Safari after three. Next: say badges with_events in the configuration that caddy adapt "+
		"writes, or have clients register with events_only: true: docs/sygnal.md")
}

// allowedEndpoints reads which push services Sygnal may ask. An empty list allows all.
func (a *app) allowedEndpoints() {
	const key = "allowed_endpoints"
	if len(a.texts(key)) > 0 {
		a.warn(a.line(key), a.at(key), "not carried over: there is no list of push services. Endpoints on the public internet are in reach, "+
			"over https, and nothing of your network is, whatever its name resolves to")
	}
}
