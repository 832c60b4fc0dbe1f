package fcmtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

func TestFCMKnowsNoTokenOfZerosAndJudgesItLast(t *testing.T) {
	t.Parallel()
	zeros := `"message":{"token":"` + strings.Repeat("0", 64) + `"}}`
	tests := []struct {
		name, body string
		change     func(*fcmtest.Service, *http.Request)
		status     int
		part       string
	}{
		{"a message", `{` + zeros, nil, 400, "message.token"},
		{"a message to be validated", `{"validate_only":true,` + zeros, nil, 400, "message.token"},
		{"a message for an installation", `{"message":{"fid":"` + strings.Repeat("0", 22) + `"}}`, nil, 404, "UNREGISTERED"},
		{
			"and another project", `{"validate_only":true,` + zeros,
			func(_ *fcmtest.Service, r *http.Request) { r.URL.Path = "/v1/projects/other/messages:send" }, 403, "PERMISSION_DENIED",
		},
		{
			"and an access token that is over", `{"validate_only":true,` + zeros,
			func(f *fcmtest.Service, _ *http.Request) { f.Expire() }, 401, "UNAUTHENTICATED",
		},
		{
			"and an answer that is programmed", `{"validate_only":true,` + zeros,
			func(f *fcmtest.Service, _ *http.Request) { f.Answer("", fcmtest.ErrorFor("UNAVAILABLE")) }, 503, "UNAVAILABLE",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newSender(t, fcmtest.Options{Now: time.Now})
			r := f.request(t.Context(), test.body)
			if test.change != nil {
				test.change(f.Service, r)
			}
			status, body := f.do(t, r)
			if status != test.status || !strings.Contains(body, test.part) || len(f.Messages()) != 0 {
				t.Errorf("the answer is %d, %s; %d messages were taken", status, body, len(f.Messages()))
			}
		})
	}
}
