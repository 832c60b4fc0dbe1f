package fcm

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// errorCodes are all of https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode.
var errorCodes = []string{
	"UNSPECIFIED_ERROR", "INVALID_ARGUMENT", "UNREGISTERED", "SENDER_ID_MISMATCH", "QUOTA_EXCEEDED", "UNAVAILABLE", "INTERNAL",
	"THIRD_PARTY_AUTH_ERROR",
	"APNS_AUTH_ERROR", // the old name of the latter: https://github.com/firebase/firebase-admin-go/blob/v4.19.0/messaging/messaging.go#L42
}

// canonicalCodes are all errors of https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto, with the HTTP status that
// it maps each to.
var canonicalCodes = map[string]int{
	"CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404, "ALREADY_EXISTS": 409,
	"PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400, "ABORTED": 409,
	"OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
}

// meaning is how an error must be interpreted.
type meaning struct {
	kind     providers.Kind
	reason   string
	doubtful bool
}

// wantErrorCodes is the meaning of each of FCM's own codes, whatever the status.
var wantErrorCodes = map[string]meaning{
	"UNSPECIFIED_ERROR":      {kind: providers.KindRetry, reason: "unspecified_error"},
	"INVALID_ARGUMENT":       {kind: providers.KindDropped, reason: "invalid_argument"},
	"UNREGISTERED":           {kind: providers.KindRejected, reason: "unregistered"},
	"SENDER_ID_MISMATCH":     {kind: providers.KindMisconfigured, reason: "sender_id_mismatch"},
	"QUOTA_EXCEEDED":         {kind: providers.KindRetry, reason: "quota_exceeded"},
	"UNAVAILABLE":            {kind: providers.KindRetry, reason: "unavailable"},
	"INTERNAL":               {kind: providers.KindRetry, reason: "internal"},
	"THIRD_PARTY_AUTH_ERROR": {kind: providers.KindMisconfigured, reason: "third_party_auth_error"},
	"APNS_AUTH_ERROR":        {kind: providers.KindMisconfigured, reason: "third_party_auth_error"},
}

// wantCanonicalCodes is the meaning of each canonical code without a code from FCM.
var wantCanonicalCodes = map[string]meaning{
	"CANCELLED":           {kind: providers.KindRetry, reason: "http_499"},
	"UNKNOWN":             {kind: providers.KindRetry, reason: "http_500"},
	"INVALID_ARGUMENT":    {kind: providers.KindDropped, reason: "invalid_argument"},
	"DEADLINE_EXCEEDED":   {kind: providers.KindRetry, reason: "http_504"},
	"NOT_FOUND":           {kind: providers.KindMisconfigured, reason: "not_found"},
	"ALREADY_EXISTS":      {kind: providers.KindRetry, reason: "http_409"},
	"PERMISSION_DENIED":   {kind: providers.KindMisconfigured, reason: "permission_denied"},
	"UNAUTHENTICATED":     {kind: providers.KindMisconfigured, reason: "unauthenticated"},
	"RESOURCE_EXHAUSTED":  {kind: providers.KindRetry, reason: "quota_exceeded"},
	"FAILED_PRECONDITION": {kind: providers.KindMisconfigured, reason: "failed_precondition"},
	"ABORTED":             {kind: providers.KindRetry, reason: "http_409"},
	"OUT_OF_RANGE":        {kind: providers.KindRetry, reason: "http_400"},
	"UNIMPLEMENTED":       {kind: providers.KindRetry, reason: "http_501"},
	"INTERNAL":            {kind: providers.KindRetry, reason: "http_500"},
	"UNAVAILABLE":         {kind: providers.KindRetry, reason: "http_503"},
	"DATA_LOSS":           {kind: providers.KindRetry, reason: "http_500"},
}

// answerOf returns an answer as the provider gets it.
func answerOf(a providertest.Answer) *answer {
	return &answer{status: a.Status, header: a.Header, body: []byte(a.Body)}
}

// means fails the test unless an answer is interpreted correctly.
func means(t *testing.T, what string, a providertest.Answer, want meaning) {
	t.Helper()
	o := answerOf(a).outcome(time.Now())
	if got := (meaning{o.Kind, o.Reason, o.Doubtful}); got != want {
		t.Errorf("%s is %s (%s, doubtful %t), want %s (%s, %t)", what, got.kind, got.reason, got.doubtful, want.kind, want.reason, want.doubtful)
	}
	if o.Unusable || !o.Since.IsZero() {
		t.Errorf("%s: got %+v", what, o)
	}
}

func TestEachOfFCMsOwnCodesHasItsMeaningWhateverTheStatus(t *testing.T) {
	t.Parallel()
	for _, code := range errorCodes {
		want, ok := wantErrorCodes[code]
		if !ok {
			t.Errorf("there is no row for %s", code)
		}
		for _, status := range []int{400, 401, 403, 404, 410, 429, 500, 503} {
			for canonical := range canonicalCodes {
				if code != "INVALID_ARGUMENT" && canonical == "INVALID_ARGUMENT" {
					continue
				}
				means(t, fmt.Sprintf("%d %s %s", status, canonical, code), fcmtest.Error(status, canonical, code, "No."), want)
			}
		}
	}
	for code := range codes {
		if !slices.Contains(errorCodes, code) {
			t.Errorf("%s is not one of FCM's codes", code)
		}
	}
}

func TestEachCanonicalCodeHasItsMeaningWhereFCMSaysNothing(t *testing.T) {
	t.Parallel()
	for code, status := range canonicalCodes {
		want, ok := wantCanonicalCodes[code]
		if !ok {
			t.Errorf("there is no row for %s", code)
		}
		means(t, code, fcmtest.Error(status, code, "", "No."), want)
		means(t, code+" with a code of FCM's that is new", fcmtest.Error(status, code, "SOMETHING_NEW", "No."), want)
	}
	for code := range statuses {
		if _, ok := canonicalCodes[code]; !ok {
			t.Errorf("%s is not a canonical code", code)
		}
	}
}

// foreign are bodies that are not Google's.
var foreign = map[string]string{
	"nothing":             "",
	"HTML":                "<html><head><title>404 Not Found</title></head><body>UNREGISTERED</body></html>",
	"text":                "The registration token is not a valid FCM registration token",
	"half of Google's":    fcmtest.ErrorFor("UNREGISTERED").Body[:120],
	"JSON of nothing":     "null",
	"an empty object":     "{}",
	"a list":              `[{"error": {"status": "NOT_FOUND"}}]`,
	"OAuth's":             `{"error": "UNREGISTERED", "error_description": "UNREGISTERED"}`,
	"the legacy API's":    `{"multicast_id": 1, "success": 0, "failure": 1, "results": [{"error": "NotRegistered"}]}`,
	"APNs'":               `{"reason": "Unregistered", "timestamp": 1700000000000}`,
	"only a message":      `{"error": {"message": "The registration token is not a valid FCM registration token"}}`,
	"a code of another":   `{"error": {"details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "errorCode": "UNREGISTERED"}]}}`,
	"a code of nobody":    `{"error": {"details": [{"errorCode": "UNREGISTERED"}]}}`,
	"a field without why": `{"error": {"details": [{"fieldViolations": [{"field": "message.token"}]}]}}`,
}

// Guards against Sygnal's behaviour: any 404 costs the pusher, so a wrong project or a proxy costs all of them.
func TestWhatIsNotGooglesNeverRejects(t *testing.T) {
	t.Parallel()
	for status := 300; status <= 599; status++ {
		want := meaning{kind: providers.KindRetry, reason: "http_" + strconv.Itoa(status)}
		if status >= 400 && status <= 499 && status != 408 && status != 429 {
			want.kind = providers.KindMisconfigured
		}
		for name, body := range foreign {
			means(t, fmt.Sprintf("%d with %s", status, name), providertest.Answer{Status: status, Body: body}, want)
		}
	}
}

func TestOnlyADeadTokenRejects(t *testing.T) {
	t.Parallel()
	const invalid = "The registration token is not a valid FCM registration token. Please refer to the guide."
	dead := meaning{kind: providers.KindRejected, reason: "unregistered"}
	doubted := meaning{kind: providers.KindRejected, reason: "invalid_token", doubtful: true}
	dropped := meaning{kind: providers.KindDropped, reason: "invalid_argument"}
	option := meaning{kind: providers.KindMisconfigured, reason: "invalid_option"}
	tests := []struct {
		name   string
		answer providertest.Answer
		want   meaning
	}{
		{"UNREGISTERED", fcmtest.ErrorFor("UNREGISTERED"), dead},
		{"a project that there is not", fcmtest.ErrorFor("NOT_FOUND"), meaning{kind: providers.KindMisconfigured, reason: "not_found"}},
		{"an invalid token", fcmtest.ErrorFor("INVALID_ARGUMENT"), doubted},
		{"an invalid token in the short form", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", invalid), doubted},
		{"an invalid token without FCM's code", fcmtest.Error(400, "INVALID_ARGUMENT", "", invalid), doubted},
		{"a token that is not a string", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.token"), doubted},
		{"a token among other things", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "No.", "message.data", "message.token"), doubted},
		{"the words of an invalid token in another error", fcmtest.Error(404, "NOT_FOUND", "", invalid), meaning{kind: providers.KindMisconfigured, reason: "not_found"}},
		{"the words in an outage", fcmtest.Error(503, "UNAVAILABLE", "UNAVAILABLE", invalid), meaning{kind: providers.KindRetry, reason: "unavailable"}},
		{"another field that begins like it", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "No.", "message.tokens"), dropped},
		{"a field of another message", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "token"), dropped},
		{"no field", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "No."), dropped},
		{"data", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Invalid data payload key: from", "message.data"), dropped},
		{"a member of data", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.data[0].value"), dropped},
		{"a message that is too big", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Android message is too big", "message"), dropped},
		{"the option notification", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.notification"), option},
		{"the option android", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "No.", "message.android.ttl"), option},
		{"the option android_v2", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.android_v2.remote_notification"), option},
		{"it in the other spelling", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.androidV2"), option},
		{"a part that begins like an option", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.android_v3"), dropped},
		{"the option fcm_options", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.fcm_options.analytics_label"), option},
		{"an item in an option", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.apns[0]"), option},
		{"the option apns", fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "No.", "message.apns.payload.aps"), option},
		{"the option webpush", fcmtest.Error(400, "INVALID_ARGUMENT", "", "No.", "message.webpush.headers"), option},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			means(t, test.name, test.answer, test.want)
		})
	}
}

func TestAnAnswerThatIsFineIsDelivered(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 204} {
		means(t, strconv.Itoa(status), providertest.Answer{Status: status, Body: foreign["HTML"]}, meaning{kind: providers.KindDelivered, reason: "delivered"})
	}
}

func TestFCMSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, code, header string
		want               time.Duration
	}{
		{"seconds", "UNAVAILABLE", "120", 2 * time.Minute},
		{"a date", "UNAVAILABLE", "Wed, 01 Jul 2026 12:02:00 GMT", 2 * time.Minute},
		{"nothing", "UNAVAILABLE", "", 0},
		{"nonsense", "INTERNAL", "soon", 0},
		{"a device's quota", "QUOTA_EXCEEDED", "7", 7 * time.Second},
		{"a device's quota, and nothing", "QUOTA_EXCEEDED", "", time.Minute},
		{"a device's quota, and nonsense", "QUOTA_EXCEEDED", "soon", time.Minute},
		{"a project's quota, and nothing", "RESOURCE_EXHAUSTED", "", time.Minute},
		{"what is the operator's", "SENDER_ID_MISMATCH", "60", time.Minute},
		{"what is the operator's, and nothing", "SENDER_ID_MISMATCH", "", 0},
		{"a dead token", "UNREGISTERED", "60", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := answerOf(fcmtest.ErrorFor(test.code))
			a.header = http.Header{}
			if test.header != "" {
				a.header.Set("Retry-After", test.header)
			}
			if got := a.outcome(now).RetryAfter; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestOnlyA401OfGooglesIsAboutTheAccessToken(t *testing.T) {
	t.Parallel()
	about := map[string]bool{"UNAUTHENTICATED": true}
	for _, code := range slices.Concat(errorCodes, slices.Collect(maps.Keys(statuses))) {
		if code == "UNSPECIFIED_ERROR" || code == "FAILED_PRECONDITION" || code == "APNS_AUTH_ERROR" {
			continue // the fake has no answer for them
		}
		if got := answerOf(fcmtest.ErrorFor(code)).unauthenticated(); got != about[code] {
			t.Errorf("%s: %t", code, got)
		}
	}
	if !(&answer{status: 401}).unauthenticated() {
		t.Error("a bare 401 is not about it")
	}
}
