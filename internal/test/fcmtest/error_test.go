package fcmtest_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

func TestFCMErrorsAreThoseOfGoogle(t *testing.T) {
	t.Parallel()
	const (
		fcmError   = `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":`
		badRequest = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":`
	)
	tests := []struct {
		code   string
		status int
		body   string
	}{
		{"UNREGISTERED", 404, `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND",` +
			`"details":[` + fcmError + `"UNREGISTERED"}]}}`},
		{"INVALID_ARGUMENT", 400, `{"error":{"code":400,"message":"The registration token is not a valid FCM registration token",` +
			`"status":"INVALID_ARGUMENT","details":[` + fcmError + `"INVALID_ARGUMENT"},` + badRequest +
			`[{"field":"message.token","description":"The registration token is not a valid FCM registration token"}]}]}}`},
		{"SENDER_ID_MISMATCH", 403, `{"error":{"code":403,"message":"SenderId mismatch","status":"PERMISSION_DENIED",` +
			`"details":[` + fcmError + `"SENDER_ID_MISMATCH"}]}}`},
		{"QUOTA_EXCEEDED", 429, `{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).",` +
			`"status":"RESOURCE_EXHAUSTED","details":[` + fcmError + `"QUOTA_EXCEEDED"}]}}`},
		{"UNAVAILABLE", 503, `{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE",` +
			`"details":[` + fcmError + `"UNAVAILABLE"}]}}`},
		{"INTERNAL", 500, `{"error":{"code":500,"message":"Internal error encountered.","status":"INTERNAL",` +
			`"details":[` + fcmError + `"INTERNAL"}]}}`},
		{"THIRD_PARTY_AUTH_ERROR", 401, `{"error":{"code":401,"message":"Auth error from APNS or Web Push Service",` +
			`"status":"UNAUTHENTICATED","details":[` + fcmError + `"THIRD_PARTY_AUTH_ERROR"}]}}`},
		{"NOT_FOUND", 404, `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND"}}`},
		{"UNAUTHENTICATED", 401, `{"error":{"code":401,"message":"Request had invalid authentication credentials. Expected OAuth 2 ` +
			`access token, login cookie or other valid authentication credential. See ` +
			`https://developers.google.com/identity/sign-in/web/devconsole-project.","status":"UNAUTHENTICATED"}}`},
		{"PERMISSION_DENIED", 403, `{"error":{"code":403,"message":"The caller does not have permission","status":"PERMISSION_DENIED"}}`},
		{"RESOURCE_EXHAUSTED", 429, `{"error":{"code":429,"message":"Quota exceeded for quota metric 'Send requests' and limit ` +
			`'Send requests per minute' of service 'fcm.googleapis.com' for consumer 'project_number:1'.","status":"RESOURCE_EXHAUSTED"}}`},
	}
	for _, test := range tests {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			a := fcmtest.ErrorFor(test.code)
			if a.Status != test.status || a.Header.Get("Content-Type") != "application/json; charset=UTF-8" {
				t.Errorf("the answer is %d with %v", a.Status, a.Header)
			}
			if got, want := compact(t, a.Body), compact(t, test.body); got != want {
				t.Errorf("the body is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// compact returns JSON with its members sorted and without white space.
func compact(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	compact, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(compact)
}

// The body is that of third_party_auth_error.json among the tests of https://github.com/cheddar-me/firebase-admin-sdk-ruby.
func TestFCMRepeatsWhatAppleSays(t *testing.T) {
	t.Parallel()
	const message = "Auth error from APNS or Web Push Service"
	a := fcmtest.AppleError(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", message, 403, "InvalidProviderToken")
	const want = `{"error": {"code": 401, "message": "Auth error from APNS or Web Push Service", "status": "UNAUTHENTICATED", "details": [
		{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "THIRD_PARTY_AUTH_ERROR"},
		{"@type": "type.googleapis.com/google.firebase.fcm.v1.ApnsError", "statusCode": 403, "reason": "InvalidProviderToken"}
	]}}`
	var got, wanted any
	if err := errors.Join(json.Unmarshal([]byte(a.Body), &got), json.Unmarshal([]byte(want), &wanted)); err != nil {
		t.Fatal(err)
	}
	if a.Status != 401 || !reflect.DeepEqual(got, wanted) {
		t.Errorf("got %d, %s", a.Status, a.Body)
	}
}
