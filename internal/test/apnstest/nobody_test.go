package apnstest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

func TestAPNsJudgesWhoSendsThenTheTopicThenTheDevice(t *testing.T) {
	t.Parallel()
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		reason string
	}{
		{"a device that does not exist", func(*http.Request) {}, 400, "BadDeviceToken"},
		{"and another app's topic", header("Apns-Topic", "com.example.other"), 400, "TopicDisallowed"},
		{"and no provider token", header("Authorization", ""), 403, "MissingProviderToken"},
		{"and a wrong provider token", header("Authorization", "bearer a.b.c"), 403, "InvalidProviderToken"},
		{"and an invalid priority", header("Apns-Priority", "7"), 400, "BadPriority"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *apnstest.Options) { o.DeviceTopic = "com.example.devices" })
			r := f.request(t)
			r.URL.Path = "/3/device/" + strings.Repeat("0", 64)
			test.change(r)
			f.expect(t, r, test.status, test.reason)
			if n := len(f.Pushes()); n != 0 {
				t.Errorf("%d pushes were taken", n)
			}
		})
	}
}

func TestAPNsJudgesTheTopicBeforeTheFormOfADeviceToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.request(t)
	r.URL.Path, r.Header["Apns-Topic"] = "/3/device/nothex", []string{"com.example.other"}
	f.expect(t, r, 400, "TopicDisallowed")
}

func TestAPNsAnswersAsProgrammedEvenForADeviceThatThereIsNot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer("", apnstest.Answer{Reason: "ServiceUnavailable"})
	for _, want := range []struct {
		status int
		reason string
	}{{503, "ServiceUnavailable"}, {400, "BadDeviceToken"}} {
		r := f.request(t)
		r.URL.Path = "/3/device/" + strings.Repeat("0", 64)
		f.expect(t, r, want.status, want.reason)
	}
	if v := f.Violations(); len(v) != 0 {
		t.Errorf("the violations are %q", v)
	}
}
