package fcm

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// The sources of the rows below: FE is https://firebase.google.com/docs/cloud-messaging/error-codes, SF is
// https://firebase.google.com/docs/cloud-messaging/scale-fcm, FG is https://github.com/firebase/firebase-admin-go; owner/repo#n is an issue
// or a pull request on GitHub.
const invalidTokenText = "The registration token is not a valid FCM registration token"

// vendorAnswers are known answers of FCM, and what they must mean.
var vendorAnswers = []struct {
	source, name string
	answer       providertest.Answer
	want         meaning
	word         string
}{
	{"FE", "a bad token", fcmtest.ErrorFor("INVALID_ARGUMENT"), meaning{providers.KindRejected, "invalid_token", true}, "INVALID_ARGUMENT"},
	{
		"bloomberg.github.io/pushiko/fcm_responses", "a bad token by its field",
		fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Request contains an invalid argument.", "message.token"),
		meaning{providers.KindRejected, "invalid_token", true},
		"INVALID_ARGUMENT",
	},
	{
		"FE", "a bad installation by its field",
		fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Request contains an invalid argument.", "message.fid"),
		meaning{providers.KindRejected, "invalid_token", true},
		"INVALID_ARGUMENT",
	},
	{
		"FE", "a message that is too big",
		fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Android message is too big"),
		meaning{providers.KindDropped, "invalid_argument", false},
		"INVALID_ARGUMENT",
	},
	{
		"reown-com/push-server#346", "a 400 that says nothing", fcmtest.Error(400, "INVALID_ARGUMENT", "", "Request contains an invalid argument."),
		meaning{providers.KindDropped, "invalid_argument", false},
		"INVALID_ARGUMENT",
	},
	{
		"a text that repeats what was sent", "the words of a bad token about something else",
		fcmtest.Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", invalidTokenText, "message.data[0].value"),
		meaning{providers.KindDropped, "invalid_argument", false},
		"INVALID_ARGUMENT",
	},
	{
		"vendors: seen in public code", "a dead Apple device",
		fcmtest.AppleError(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Request contains an invalid argument.", 410, "Unregistered"),
		meaning{providers.KindRejected, "apns_unregistered", false},
		"Unregistered",
	},
	{
		"codedge-llc/pigeon test/pigeon/fcm/error_test.exs", "a dead Apple device in both words",
		fcmtest.AppleError(404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found.", 410, "Unregistered"),
		meaning{providers.KindRejected, "apns_unregistered", false},
		"Unregistered",
	},
	{
		"xtrinch/fcm-django#201", "another app's Apple device",
		fcmtest.AppleError(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Request contains an invalid argument.", 400, "DeviceTokenNotForTopic"),
		meaning{providers.KindRejected, "apns_device_token_not_for_topic", true},
		"DeviceTokenNotForTopic",
	},
	{
		"vendors: the wire's spelling", "a key for the other environment",
		fcmtest.AppleError(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS or Web Push Service", 403, "BadEnvironmentKeyInToken"),
		meaning{providers.KindMisconfigured, "apns_bad_environment_key_id_in_token", false},
		"BadEnvironmentKeyInToken",
	},
	{
		"cheddar-me/firebase-admin-sdk-ruby third_party_auth_error.json", "a wrong key",
		fcmtest.AppleError(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS or Web Push Service", 403, "InvalidProviderToken"),
		meaning{providers.KindMisconfigured, "apns_invalid_provider_token", false},
		"InvalidProviderToken",
	},
	{
		"Apple's reasons grow", "a reason of Apple's that no table has",
		fcmtest.AppleError(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS or Web Push Service", 403, "SomethingNew"),
		meaning{providers.KindMisconfigured, "third_party_auth_error", false},
		"SomethingNew",
	},
	{
		"Apple's reasons grow", "one beside INVALID_ARGUMENT",
		fcmtest.AppleError(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "No.", 400, "SomethingNew"),
		meaning{providers.KindDropped, "invalid_argument", false},
		"SomethingNew",
	},
	{
		"FCM's words are not its only ones", "only Apple's word", fcmtest.AppleError(500, "", "", "No.", 410, "ExpiredToken"),
		meaning{providers.KindRejected, "apns_expired_token", false},
		"ExpiredToken",
	},
	{
		"FE", "a key for APNs or a browser", fcmtest.ErrorFor("THIRD_PARTY_AUTH_ERROR"),
		meaning{providers.KindMisconfigured, "third_party_auth_error", false},
		"THIRD_PARTY_AUTH_ERROR",
	},
	{
		"FG messaging.go", "the old name of that", fcmtest.Error(401, "UNAUTHENTICATED", "APNS_AUTH_ERROR", "No."),
		meaning{providers.KindMisconfigured, "third_party_auth_error", false},
		"APNS_AUTH_ERROR",
	},
	{
		"codedge-llc/pigeon#312", "our own access token", fcmtest.ErrorFor("UNAUTHENTICATED"),
		meaning{providers.KindMisconfigured, "unauthenticated", false},
		"UNAUTHENTICATED",
	},
	{
		"FE", "another project's token", fcmtest.ErrorFor("SENDER_ID_MISMATCH"),
		meaning{providers.KindMisconfigured, "sender_id_mismatch", false},
		"SENDER_ID_MISMATCH",
	},
	{
		"FE", "no permission", fcmtest.ErrorFor("PERMISSION_DENIED"),
		meaning{providers.KindMisconfigured, "permission_denied", false},
		"PERMISSION_DENIED",
	},
	{"FE", "a dead token", fcmtest.ErrorFor("UNREGISTERED"), meaning{providers.KindRejected, "unregistered", false}, "UNREGISTERED"},
	{"FE", "no such project", fcmtest.ErrorFor("NOT_FOUND"), meaning{providers.KindMisconfigured, "not_found", false}, "NOT_FOUND"},
	{"FE", "a device's quota", fcmtest.ErrorFor("QUOTA_EXCEEDED"), meaning{providers.KindRetry, "quota_exceeded", false}, "QUOTA_EXCEEDED"},
	{"FE", "the project's", fcmtest.ErrorFor("RESOURCE_EXHAUSTED"), meaning{providers.KindRetry, "quota_exceeded", false}, "RESOURCE_EXHAUSTED"},
	{
		"google.rpc.QuotaFailure", "a quota by its details",
		providertest.Answer{Status: 403, Body: `{"error": {"status": "PERMISSION_DENIED", "details": [
			{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"subject": "device:secret"}]}]}}`},
		meaning{providers.KindRetry, "quota_exceeded", false},
		"PERMISSION_DENIED",
	},
	{"FE", "an outage", fcmtest.ErrorFor("INTERNAL"), meaning{providers.KindRetry, "internal", false}, "INTERNAL"},
	{"FE", "another", fcmtest.ErrorFor("UNAVAILABLE"), meaning{providers.KindRetry, "unavailable", false}, "UNAVAILABLE"},
	{
		"FE", "nothing that is specified", fcmtest.Error(500, "UNKNOWN", "UNSPECIFIED_ERROR", "No."),
		meaning{providers.KindRetry, "unspecified_error", false},
		"UNSPECIFIED_ERROR",
	},
	{
		"FCM's codes grow", "a code that no table has", fcmtest.Error(403, "PERMISSION_DENIED", "SOMETHING_NEW", "No."),
		meaning{providers.KindMisconfigured, "permission_denied", false},
		"SOMETHING_NEW",
	},
}

func TestFCMsWordDecidesBeforeTheStatusAndIsShown(t *testing.T) {
	t.Parallel()
	for _, row := range vendorAnswers {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			means(t, row.source+": "+row.name, row.answer, row.want)
			if got := answerOf(row.answer).outcome(time.Now()).Word; got != row.word {
				t.Errorf("%s: the word is %q, want %q", row.source, got, row.word)
			}
			if row.answer.Status == 401 && row.word != "UNAUTHENTICATED" && answerOf(row.answer).unauthenticated() {
				t.Error("it is taken for a matter of the access token")
			}
		})
	}
}

// All of APNs' table also applies if FCM passes the reason on, whatever the status and code are.
func TestEachOfApplesReasonsMeansTheSameThroughFCM(t *testing.T) {
	t.Parallel()
	for reason, v := range apnsreason.Verdicts {
		want := meaning{v.Kind, "apns_" + v.Reason, v.Doubtful}
		for _, code := range []string{"", "INVALID_ARGUMENT", "THIRD_PARTY_AUTH_ERROR", "UNREGISTERED", "INTERNAL", "SOMETHING_NEW"} {
			for _, status := range []int{400, 401, 403, 404, 429, 500, 503} {
				a := fcmtest.AppleError(status, "UNKNOWN", code, "No.", 400, reason)
				means(t, reason+" beside "+code, a, want)
				if o := answerOf(a).outcome(time.Now()); o.Kind == providers.KindRetry && o.Cause != providers.CauseDevice {
					t.Errorf("%s: an outage of Apple's is taken for one of FCM's", reason)
				} else if o.Word != reason {
					t.Errorf("%s: the word is %q", reason, o.Word)
				}
			}
		}
	}
}

// SF: without Retry-After, a 429 is for a minute later; with 503, Retry-After is honoured.
func TestA429WithoutAWordIsForAMinuteLater(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{"": time.Minute, "7": 7 * time.Second, "soon": time.Minute} {
		o := (&answer{status: 429, header: http.Header{"Retry-After": {header}}, body: []byte("<html>")}).outcome(time.Now())
		if o.Kind != providers.KindRetry || o.RetryAfter != want || o.Cause != providers.CauseDevice {
			t.Errorf("%q: got %+v, want %s", header, o, want)
		}
	}
}

func TestABadErrorBodyIsBoundedAndShowsNothing(t *testing.T) {
	t.Parallel()
	const secret = "very-secret"
	detail := func(of, member, value string) string {
		return `{"error": {"status": "` + secret + `", "details": [{"@type": "type.googleapis.com/google.firebase.fcm.v1.` + of + `", "` +
			member + `": "` + value + `"}]}}`
	}
	megabytes := strings.Repeat("x", 10<<20)
	b := newBench(t, nil)
	for name, body := range map[string]string{
		"10 MB":                      megabytes,
		"10 MB of JSON":              `{"error": {"message": "` + megabytes + `", "status": "UNAVAILABLE"}}`,
		"HTML":                       "<html>" + secret + "</html>",
		"broken JSON":                detail("FcmError", "errorCode", "UNREGISTERED")[:100],
		"latin-1":                    "{\"error\": \"\xe9\xe8" + secret + "\"}",
		"a reason of 10,000 letters": detail("ApnsError", "reason", strings.Repeat("Unregistered", 833)),
		"a code of 10,000 letters":   detail("FcmError", "errorCode", strings.Repeat("A", 10_000)),
		"line breaks":                detail("ApnsError", "reason", `Unregistered\n`+secret),
		"a word in another script":   detail("ApnsError", "reason", "Unregisterеd"),
		"a number":                   strings.Replace(detail("ApnsError", "reason", "x"), `"x"`, "7", 1),
	} {
		b.Answer("", providertest.Answer{Status: 503, Body: body})
		o := b.Push(t.Context(), alert())
		if o.Kind != providers.KindRetry || o.Reason != "http_503" || o.Word != "" || o.Err != nil {
			t.Errorf("%s: got %.200v", name, o)
		}
	}
}
