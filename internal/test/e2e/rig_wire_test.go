package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wire is a gateway between a homeserver and all push services.
type wire struct {
	apple   *apple
	google  *google
	service *pushServer
	gateway *process
	hs      *homeserver
}

// pushServerName replaces the push server's origin, which has another port in each run.
const pushServerName = "https://push.example.net"

func newWire(t *testing.T) wire {
	t.Helper()
	a, g, s := newApple(t), newGoogle(t), newPushServer(t)
	const voip = "push_type voip\ntopic " + bundleID + ".voip"
	gateway := startGateway(t, stateless+s.global(s.moreUp("org.example.up.full", "content full"))+
		a.app("io.element.elementx.ios.prod", "", "")+
		a.app("im.vector.app.ios.prod", "", "")+
		a.app("im.vector.app.ios.voip.prod", voip, "badges off\nttl 1m")+
		a.app("org.example.ios.fluffy.*", "", "")+
		a.app("org.example.ios.full", "", "content full")+
		a.app("org.example.ios.quiet", "", "content full\nbadges off")+
		a.app("org.example.ios.voip", voip, "content full\nbadges off\nttl 1m")+
		a.app("org.example.ios.rooms", "thread_id room\ncollapse_id room", "content full")+
		a.app("org.example.ios.events", "collapse_id event", "")+
		g.app("im.vector.app.android", "", "")+
		g.app("de.spiritcroc.riotx", "", "")+
		g.app("chat.schildi.android", "", "badges off")+
		g.app("chat.fluffy.*", "apns `{\"payload\": {\"aps\": {\"alert\": {\"title\": \"New message\"}, \"mutable-content\": 1, \"sound\": \"default\"}}}`", "")+
		g.app("org.example.android.fluffy.*", "", "content full")+
		g.app("org.example.android.full", "", "content full")+
		g.app("org.example.android.quiet", "", "content full\nbadges off")+
		g.app("org.example.android.options", "notification `{\"title\": \"New message\"}`\n"+
			"android `{\"ttl\": \"3600s\", \"restricted_package_name\": \"org.example\", \"notification\": {\"channel_id\": \"messages\"}}`\n"+
			"apns `{\"headers\": {\"apns-priority\": \"10\"}, \"payload\": {\"aps\": {\"content-available\": 1, \"alert\": \"New message\", \"sound\": \"default\"}}}`",
			"content full"), "matrix_push")
	return wire{a, g, s, gateway, gateway.homeserver()}
}

// prepare returns a notification as a homeserver posts it, without white space. It subscribes the device that it is for.
func (w wire) prepare(t *testing.T, name, posted string) string {
	t.Helper()
	w.service.Endpoint(name)
	w.service.SubscribeDemo(name)
	var body bytes.Buffer
	if err := json.Compact(&body, []byte(strings.ReplaceAll(posted, pushServerName, w.service.Origin()))); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

// posted returns such a notification for the admin API. Members that it lacks are null, so the API adds none.
func (w wire) posted(t *testing.T, name, posted string) string {
	t.Helper()
	body := w.prepare(t, name, posted)
	for _, member := range []string{
		"event_id", "room_id", "type", "sender", "sender_display_name", "room_name", "content", "counts", "prio",
	} {
		if !strings.Contains(body, `"`+member+`":`) {
			body = withMember(t, body, member, nil)
		}
	}
	return body
}

// post posts a notification as a homeserver does. It returns the result in words, or the request to the push service.
func (w wire) post(t *testing.T, name, posted string) string {
	t.Helper()
	body := w.prepare(t, name, posted)
	var notify struct {
		Notification struct{ Devices []device }
	}
	if err := json.Unmarshal([]byte(body), &notify); err != nil || len(notify.Notification.Devices) != 1 {
		t.Fatalf("Synapse asks for exactly one device: %v", err)
	}
	hs := homeserver{t: t, client: w.hs.client, url: w.hs.url}

	before := time.Now()
	answer := hs.notify(body)
	after := time.Now()
	requests := w.since(t, name, before)
	switch {
	case len(requests) == 0 && answer.Body == rejecting(notify.Notification.Devices[0].Pushkey):
		return "nothing is sent, and the pushkey is rejected"
	case len(requests) > 1:
		t.Fatalf("%d requests were made", len(requests))
	}
	if wantBody(t, answer, nothingRejected); len(requests) == 0 {
		return "nothing is sent"
	}
	return requests[0].form(t, before, after)
}

// wireRequest is a request to a push service.
type wireRequest struct {
	at     time.Time
	origin string
	path   string
	header http.Header
	body   []byte // decrypted
}

// since returns the requests that all push services got since then. The services check that all are POSTs and break no rule.
func (w wire) since(t *testing.T, name string, then time.Time) []wireRequest {
	t.Helper()
	var requests []wireRequest
	var violations []string
	for _, r := range w.apple.Requests() { // their violations fail the test anyway
		requests = append(requests, wireRequest{r.Time, w.apple.URL, r.Path, r.Header, r.Payload})
	}
	for _, r := range w.google.Requests() {
		body := slices.Concat([]byte(`{"message":`), r.Raw, []byte(`}`))
		if n := strconv.Itoa(len(body)); r.Header.Get("Content-Length") != n {
			violations = append(violations, "there is more in the body than the message")
		}
		requests = append(requests, wireRequest{r.Time, w.google.URL, r.Path, r.Header, body})
		violations = append(violations, r.Violations...)
	}
	for _, path := range []string{"/webpush/" + name, "/up/" + name} {
		for _, m := range w.service.Messages(path) {
			requests = append(requests, wireRequest{m.Time, w.service.Origin(), m.Path, m.Header, m.Body})
			violations = append(violations, m.Violations...)
		}
	}
	if len(violations) > 0 {
		t.Errorf("a request breaks rules: %q", violations)
	}
	return slices.DeleteFunc(requests, func(r wireRequest) bool { return r.at.Before(then) })
}

// form returns the request in the form of a golden file, if it was made between these times.
func (r wireRequest) form(t *testing.T, before, after time.Time) string {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s\n", r.path)
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		for _, value := range r.header[name] {
			fmt.Fprintf(&b, "%s: %s\n", strings.ToLower(name), headerForm(name, value, before, after))
		}
	}
	b.WriteByte('\n')
	if err := json.Indent(&b, bodyForm(r.body, before, after), "", "  "); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return b.String()
}

// bodyForm returns a body with placeholders for what changes in each run.
func bodyForm(body []byte, before, after time.Time) []byte {
	body = anyTTL.ReplaceAllFunc(body, ttlForm)
	return anyExpiration.ReplaceAllFunc(body, func(member []byte) []byte {
		value := string(anyNumber.Find(member))
		return anyNumber.ReplaceAll(member, []byte(expirationForm(value, before, after)))
	})
}

var (
	anyBearer     = regexp.MustCompile(`^([Bb]earer) [\w.~+/-]+=*$`)
	anyVAPID      = regexp.MustCompile(`^vapid t=[\w-]+\.[\w-]+\.[\w-]+, ?k=[\w-]{87}$`)
	anyUUID       = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	anyTopic      = regexp.MustCompile(`^[\w-]{32}$`)
	anyTTL        = regexp.MustCompile(`"ttl":"[0-9]+s"`)
	anyExpiration = regexp.MustCompile(`"apns-expiration":"[0-9]+"`)
	anyNumber     = regexp.MustCompile(`[0-9]+s?`)
)

// headerForm returns a header's value, or a placeholder if the value changes in each run. A wrong value stays, and so fails the test.
func headerForm(name, value string, before, after time.Time) string {
	switch name {
	case "Authorization":
		return anyVAPID.ReplaceAllString(anyBearer.ReplaceAllString(value, "$1 <token>"), "vapid t=<token>, k=<key>")
	case "Apns-Id":
		return anyUUID.ReplaceAllString(value, "<uuid>")
	case "Apns-Expiration":
		return expirationForm(value, before, after)
	case "Ttl":
		return string(ttlForm([]byte(value)))
	case "Topic": // a hash of the pusher's data, which have the endpoint with the push server's port
		return anyTopic.ReplaceAllString(value, "<topic>")
	default:
		return value
	}
}

// expirationForm returns the app's ttl, for a time that is one ttl after the request.
func expirationForm(value string, before, after time.Time) string {
	expiration, err := strconv.ParseInt(value, 10, 64)
	for name, ttl := range map[string]time.Duration{"24h": 24 * time.Hour, "1m": time.Minute} { // the values of newWire
		if err == nil && expiration >= before.Add(ttl).Unix() && expiration <= after.Add(ttl).Unix() {
			return "<in " + name + ">"
		}
	}
	return value
}

// ttlForm replaces the seconds in a text with a ttl by a placeholder, if they are what remains of 24 hours.
func ttlForm(text []byte) []byte {
	seconds, err := strconv.Atoi(strings.TrimSuffix(string(anyNumber.Find(text)), "s"))
	ttl := time.Duration(seconds) * time.Second
	if err != nil || ttl > 24*time.Hour || ttl < 24*time.Hour-patience {
		return text
	}
	return anyNumber.ReplaceAll(text, []byte("<24h>"))
}
