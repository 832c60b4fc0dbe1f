package providertest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
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
		{"a device that there is not", func(*http.Request) {}, 400, "BadDeviceToken"},
		{"and another app's topic", header("Apns-Topic", "com.example.other"), 400, "TopicDisallowed"},
		{"and no provider token", header("Authorization", ""), 403, "MissingProviderToken"},
		{"and a wrong provider token", header("Authorization", "bearer a.b.c"), 403, "InvalidProviderToken"},
		{"and a priority that is none", header("Apns-Priority", "7"), 400, "BadPriority"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newAPNsFixture(t, func(o *providertest.APNsOptions) { o.DeviceTopic = "com.example.devices" })
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
	f := newAPNsFixture(t)
	r := f.request(t)
	r.URL.Path, r.Header["Apns-Topic"] = "/3/device/nothex", []string{"com.example.other"}
	f.expect(t, r, 400, "TopicDisallowed")
}

func TestAPNsAnswersAsProgrammedEvenForADeviceThatThereIsNot(t *testing.T) {
	t.Parallel()
	f := newAPNsFixture(t)
	f.Answer("", providertest.APNsAnswer{Reason: "ServiceUnavailable"})
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

func TestFCMKnowsNoTokenOfZerosAndJudgesItLast(t *testing.T) {
	t.Parallel()
	zeros := `"message":{"token":"` + strings.Repeat("0", 64) + `"}}`
	tests := []struct {
		name, body string
		change     func(*providertest.FCM, *http.Request)
		status     int
		part       string
	}{
		{"a message", `{` + zeros, nil, 400, "message.token"},
		{"a message to be validated", `{"validate_only":true,` + zeros, nil, 400, "message.token"},
		{"a message for an installation", `{"message":{"fid":"` + strings.Repeat("0", 22) + `"}}`, nil, 404, "UNREGISTERED"},
		{
			"and another project", `{"validate_only":true,` + zeros,
			func(_ *providertest.FCM, r *http.Request) { r.URL.Path = "/v1/projects/other/messages:send" }, 403, "PERMISSION_DENIED",
		},
		{
			"and an access token that is over", `{"validate_only":true,` + zeros,
			func(f *providertest.FCM, _ *http.Request) { f.Expire() }, 401, "UNAUTHENTICATED",
		},
		{
			"and an answer that is programmed", `{"validate_only":true,` + zeros,
			func(f *providertest.FCM, _ *http.Request) { f.Answer("", providertest.FCMErrorFor("UNAVAILABLE")) }, 503, "UNAVAILABLE",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFCMSender(t, providertest.FCMOptions{Now: time.Now})
			r := f.request(t.Context(), test.body)
			if test.change != nil {
				test.change(f.FCM, r)
			}
			status, body := f.do(t, r)
			if status != test.status || !strings.Contains(body, test.part) || len(f.Messages()) != 0 {
				t.Errorf("the answer is %d, %s; %d messages were taken", status, body, len(f.Messages()))
			}
		})
	}
}
