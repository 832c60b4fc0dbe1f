package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What an answer tells is what the protocol says, which is whether a pushkey is rejected, and no more.

// Without waiting for a verdict, an answer tells nothing of whether somebody is there: whatever the push service will say when the answer has
// been given, each is answered with the same bytes, and costs it one request.
func TestAnAnswerTellsNothingOfPushkeysThatNoVerdictWasOn(t *testing.T) {
	t.Parallel()
	u := newUnreliable(t)
	gateway := startGateway(t, "rejected memory\noutbox file\n"+u.moreUp("org.example.async", "wait 0"), "matrix_push")
	for _, http2 := range []bool{false, true} {
		hs := &homeserver{t: t, client: gateway.client(http2), url: gateway.url()}
		var first string
		for i, tt := range []struct {
			name   string
			answer behaviour
		}{
			{"a live one", behaviour{}},
			{"one that the push server does not know", behaviour{status: http.StatusNotFound}},
			{"one that is gone", behaviour{status: http.StatusGone}},
			{"one that may not be pushed to", behaviour{status: http.StatusForbidden}},
			{"one whose push server is busy", behaviour{status: http.StatusTooManyRequests}},
			{"one whose push server does not like it", behaviour{status: http.StatusBadRequest}},
			{"one whose push server hangs up", behaviour{dropped: true}},
		} {
			d := u.phoneOf("org.example.async", fmt.Sprintf("%v-%d", http2, i))
			verdict := make(chan struct{})
			u.set(behaviour{until: verdict}, d)
			answer := whole(hs.notify(alert("$1", d)))
			u.arrived(d)
			u.set(tt.answer, d)
			close(verdict)
			if first == "" {
				first = answer
			}
			if answer != first {
				t.Errorf("%s is answered\n%s\nand a live one\n%s", tt.name, answer, first)
			}
		}
	}
}

// An app that there is not, one that this site does not serve, and a pushkey that cannot be one, are the same to who asks.
func TestAnAnswerTellsNothingOfWhichAppsThereAre(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, "rejected memory\n"+service.global(service.moreUp("org.example.elsewhere", "")),
		"matrix_push {\napps org.example.up org.example.web\n}")
	hs := gateway.homeserver()
	bad := "https://user@" + strings.TrimPrefix(service.Endpoint("phone"), "https://")
	var first string
	for _, tt := range []struct{ name, appID, pushkey string }{
		{"an unknown app", "org.example.unknown", service.Endpoint("phone")},
		{"an unknown app and a pushkey that cannot be one", "org.example.unknown", bad},
		{"an app of another site", "org.example.elsewhere", service.Endpoint("phone")},
		{"an app of another site and a pushkey that cannot be one", "org.example.elsewhere", bad},
		{"a known app, with a pushkey that cannot be one", "org.example.up", bad},
		{"another known app, with a pushkey that cannot be one", "org.example.web", "no key"},
	} {
		answer := whole(hs.notify(alert("$1", device{AppID: tt.appID, Pushkey: tt.pushkey})), tt.pushkey)
		if first == "" {
			first = answer
		}
		if answer != first {
			t.Errorf("%s is answered\n%s\nand the first\n%s", tt.name, answer, first)
		}
	}
	if n := len(service.Messages(service.Endpoint("phone"))); n != 0 {
		t.Errorf("%d pushes were sent", n)
	}
}

// With waiting, those that the push service takes are answered alike, and each is one look into the store and one request to the push
// service, whether it was ever heard of or not: nothing is done for one that is not done for the other.
func TestKnownAndUnknownPushkeysCostTheSame(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	known := upDevice(s.service.Endpoint("known"))
	s.hs.notify(alert("$0", known))
	dead := s.dead("dead")
	count := func(body string) (answer string, pushes float64) {
		before, _ := s.gateway.scrape()
		answer = whole(s.hs.notify(body))
		after, _ := s.gateway.scrape()
		return answer, after.total("pushes_total") - before.total("pushes_total")
	}
	want, _ := count(alert("$1", known))
	for _, tt := range []struct {
		name   string
		device device
		body   string
		pushes float64
	}{
		{"known", known, want, 1},
		{"never heard of", upDevice(s.service.Endpoint("never heard of")), want, 1},
		{"dead, and registered again", registered(dead, at(1_800_000_000)), "", 1},
		{"dead", dead, "", 0}, // what the protocol tells
	} {
		body, pushes := count(alert("$2", tt.device))
		if pushes != tt.pushes || tt.body != "" && body != tt.body {
			t.Errorf("%s: %v pushes, want %v, and it is answered\n%s\nwant\n%s", tt.name, pushes, tt.pushes, body, tt.body)
		}
	}
}
