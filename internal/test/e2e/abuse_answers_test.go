package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// An answer shows what the protocol defines, whether a pushkey is rejected, and nothing else.

// Without a wait for the verdict, an answer doesn't show whether a device exists. Whatever the push service answers later, every answer of
// the gateway has the same bytes, and every device costs the push service one request.
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

// The answers for an unknown app, for one that this site does not serve, and for an impossible pushkey are the same.
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

// With a wait for the verdict, all devices that the push service accepts get the same answer. Each one costs one look into the store and
// one request to the push service, whether it is known or not: the gateway does the same for all of them.
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
		{"dead", dead, "", 0}, // the protocol reports this one
	} {
		body, pushes := count(alert("$2", tt.device))
		if pushes != tt.pushes || tt.body != "" && body != tt.body {
			t.Errorf("%s: %v pushes, want %v, and it is answered\n%s\nwant\n%s", tt.name, pushes, tt.pushes, body, tt.body)
		}
	}
}
