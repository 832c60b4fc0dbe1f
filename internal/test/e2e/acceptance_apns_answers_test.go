package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// APNs, P08 to P12 of docs/acceptance.md: what follows from APNs' answers, and from missing ones.

func TestP08_ARejectionIsForRegistrationsUpToItsTime(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)
	death := time.Unix(1_700_000_000, 0)
	for name, tt := range map[string]struct {
		ts       *int64
		rejected bool
	}{
		"registered before":                  {at(1_699_999_999), true},
		"registered in the same second":      {at(1_700_000_000), true},
		"registered after":                   {at(1_700_000_001), false},
		"registered before, in milliseconds": {at(1_699_999_999_999), true},
		"registered after, in milliseconds":  {at(1_700_000_001_000), false},
		"registered who knows when":          {nil, true},
	} {
		d := registered(iPhone(name), tt.ts)
		s.apns.Unregister(d.path(), death)
		want, asked := nothingRejected, 2
		if tt.rejected {
			want, asked = rejecting(d.Pushkey), 1
		}
		for _, event := range []string{"$1", "$2"} {
			if wantBody(t, s.hs.notify(alert(event, d)), want); t.Failed() {
				t.Fatal(name)
			}
		}
		if n := len(s.requests(d)); n != asked {
			t.Errorf("%s: APNs was asked %d times", name, n)
		}

		// The device registers once more.
		s.apns.Unregister(d.path(), time.Time{})
		s.delivered(alert("$3", registered(d, at(1_700_000_002))), d)
	}
	t.Run("an ended token is as dead", func(t *testing.T) {
		s := s.in(t)
		d := iPhone("ended")
		s.apns.Answer(d.path(), apnstest.Answer{Reason: "ExpiredToken", Timestamp: death})
		for _, event := range []string{"$1", "$2"} {
			wantBody(t, s.hs.notify(alert(event, d)), rejecting(d.Pushkey))
		}
		s.pushes(d, 0)
	})
}

func TestP09_AnExpiredProviderTokenIsRenewed(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)
	d := iPhone("phone")
	for i := range 20 {
		wantBody(t, s.hs.notify(alert(fmt.Sprint("$", i), d)), nothingRejected)
	}
	if n := s.apns.ProviderTokens(); n != 1 {
		t.Errorf("20 pushes took %d provider tokens", n)
	}

	unlucky := iPhone("unlucky")
	expired := apnstest.Answer{Reason: "ExpiredProviderToken"}
	s.apns.Answer(unlucky.path(), expired)
	s.delivered(alert("$1", unlucky), unlucky)
	requests := s.requests(unlucky)
	if len(requests) != 2 || requests[0].Header.Get("Authorization") == requests[1].Header.Get("Authorization") || requests[0].ID != requests[1].ID {
		t.Errorf("the requests are %+v", requests)
	}
	for i := range 20 {
		wantBody(t, s.hs.notify(alert(fmt.Sprint("$again", i), d)), nothingRejected)
	}
	if n := s.apns.ProviderTokens(); n != 2 {
		t.Errorf("there are %d provider tokens", n)
	}

	// If the clock is wrong, a new token is just as old. The operator must act, and nobody is rejected.
	s.apns.Answer("", apnstest.Answer{Reason: "ExpiredProviderToken", Times: -1})
	for range 5 {
		wantMisconfigured(t, s.hs.notify(alert("$2", unlucky, d)))
	}
	if n := s.apns.ProviderTokens(); n != 2 {
		t.Errorf("there are %d provider tokens", n)
	}
	s.apns.Answer("")
	wantBody(t, s.hs.notify(alert("$2", unlucky, d)), nothingRejected)
	s.pushes(unlucky, 2)
}

func TestP10_AConnectionThatEndsLosesNothing(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)
	t.Run("what was not looked at is sent again at once, as the same push", func(t *testing.T) {
		s := s.in(t)
		for name, answers := range map[string][]apnstest.Answer{
			"GOAWAY":         {{GoAway: true}},
			"refused":        {{Refuse: true}},
			"one and other":  {{GoAway: true}, {Refuse: true}},
			"three GOAWAYs":  {{GoAway: true, Times: 3}},
			"three refusals": {{Refuse: true, Times: 3}},
		} {
			d := iPhone(name)
			s.apns.Answer(d.path(), answers...)
			p := s.delivered(alert("$1", d), d)
			requests := s.requests(d)
			if len(requests) < 2 {
				t.Errorf("%s: there was one request", name)
			}
			for _, r := range requests {
				if r.ID != p.ID || r.Expiration != p.Expiration || string(r.Payload) != string(p.Payload) {
					t.Errorf("%s: %s expiring at %d was sent again as %s expiring at %d", name, p.ID, p.Expiration, r.ID, r.Expiration)
				}
			}
		}
	})
	t.Run("what may have been looked at is sent again by the homeserver", func(t *testing.T) {
		s := s.in(t)
		d := iPhone("dropped")
		s.apns.Answer(d.path(), apnstest.Answer{Drop: true, Times: 2})
		for range 2 {
			wantLater(t, s.hs.notify(alert("$1", d)))
		}
		s.delivered(alert("$1", d), d)
		wantBody(t, s.hs.notify(alert("$1", d)), nothingRejected)
		s.pushes(d, 1)
	})
	t.Run("a GOAWAY lets what is under way finish", func(t *testing.T) {
		s := s.in(t)
		const n = 40
		until := make(chan struct{})
		s.apns.Answer("", apnstest.Answer{Until: until, Times: n})
		before := s.apns.Connections()
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				r, err := s.hs.try(alert("$1", iPhone(fmt.Sprint("under way", i))))
				if err != nil {
					t.Error(err)
					return
				}
				wantBody(t, r, nothingRejected)
			})
		}
		s.apns.await(t, func() bool { return s.apns.Held() == n })
		s.apns.GoAway()
		d := iPhone("in between")
		s.delivered(alert("$1", d), d)
		if s.apns.Connections() == before {
			t.Error("no other connection was made")
		}
		close(until)
		wg.Wait()
		for i := range n {
			s.pushes(iPhone(fmt.Sprint("under way", i)), 1)
		}
	})
	t.Run("a connection that ended unused is not noticed", func(t *testing.T) {
		s := s.in(t)
		s.apns.GoAway()
		s.apns.await(t, func() bool { return s.apns.Open() == 0 })
		d := iPhone("after the end")
		s.delivered(alert("$1", d), d)
	})
}

func TestP11_AnOverloadedAPNsIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)
	after := func(value string) http.Header { return http.Header{"Retry-After": {value}} }
	for i, tt := range []struct {
		answer      apnstest.Answer
		least, most int
	}{
		{apnstest.Answer{Reason: "TooManyRequests", Header: after("7")}, 7, 7},
		{apnstest.Answer{Reason: "TooManyRequests", Header: after("120")}, 120, 120},
		{apnstest.Answer{Reason: "TooManyRequests"}, 1, 60},
		{apnstest.Answer{Reason: "TooManyProviderTokenUpdates"}, 1, 60},
		{apnstest.Answer{Reason: "ServiceUnavailable", Header: after("9")}, 9, 9},
		{apnstest.Answer{Reason: "ServiceUnavailable", Header: after("999999999")}, 3600, 3600},
		{apnstest.Answer{Reason: "ServiceUnavailable", Header: after("soon")}, 1, 60},
		{apnstest.Answer{Reason: "Shutdown", Header: after(time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat))}, 500, 600},
		{apnstest.Answer{Reason: "InternalServerError"}, 1, 60},
		{apnstest.Answer{Status: 500, Reason: "OfTomorrow"}, 1, 60},
		{apnstest.Answer{Status: 502, Body: "<html>Bad Gateway</html>"}, 1, 60},
		{apnstest.Answer{Status: 410, Body: "<html>Gone</html>"}, 1, 60},
		{apnstest.Answer{Status: 404, Body: "<html>Not Found</html>"}, 1, 60},
		{apnstest.Answer{Status: 429}, 1, 60},
	} {
		d := iPhone(strconv.Itoa(i))
		s.apns.Answer(d.path(), tt.answer)
		r := s.hs.notify(alert("$1", d))
		wantLater(t, r)
		if got, _ := strconv.Atoi(r.Header.Get("Retry-After")); got < tt.least || got > tt.most {
			t.Errorf("%d %s with %v is answered with Retry-After %d", tt.answer.Status, tt.answer.Reason, tt.answer.Header, got)
		}
		if n := len(s.requests(d)); n != 1 {
			t.Errorf("%d %s: APNs was asked %d times within one request", tt.answer.Status, tt.answer.Reason, n)
		}
		for range 2 { // the second one is a duplicate of the first
			wantBody(t, s.hs.notify(alert("$1", d)), nothingRejected)
		}
		s.pushes(d, 1)
	}
}

func TestP12_WhatCanWaitHasTheLowPriority(t *testing.T) {
	t.Parallel()
	s := newAppleScene(t, nil)
	i := 0
	for _, appID := range []string{"org.example.ios", "org.example.full"} {
		for prio, want := range map[string]int{`"low"`: 5, `"high"`: 10, `null`: 10, `""`: 10, `"urgent"`: 10} {
			for _, body := range []string{`"event_id":"$1","room_id":"!r","type":"m.room.message"`, `"id":"","type":null,"counts":{"unread":1}`} {
				i++
				d := iPhoneOf(appID, strconv.Itoa(i))
				p := s.delivered(`{"notification":{"prio":`+prio+`,`+body+`,"devices":`+string(mustMarshal([]device{d}))+`}}`, d)
				if p.Priority != want {
					t.Errorf("%s, prio %s, %s: the priority is %d", appID, prio, body, p.Priority)
				}
			}
		}
	}
}
