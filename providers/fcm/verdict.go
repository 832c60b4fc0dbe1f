package fcm

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// verdict is what an error means for a push.
type verdict struct {
	kind     providers.Kind
	reason   string
	doubtful bool
}

// unregistered is the reason for FCM's code for a dead token.
const unregistered = "unregistered"

// codes are FCM's own error codes, https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, except INVALID_ARGUMENT. Only a dead
// token rejects; the status does not decide: a wrong project is a 404 as well as a dead token.
var codes = map[string]verdict{
	"UNREGISTERED":           {kind: providers.KindRejected, reason: unregistered},
	"SENDER_ID_MISMATCH":     {kind: providers.KindMisconfigured, reason: "sender_id_mismatch"},
	"THIRD_PARTY_AUTH_ERROR": {kind: providers.KindMisconfigured, reason: "third_party_auth_error"},
	"APNS_AUTH_ERROR":        {kind: providers.KindMisconfigured, reason: "third_party_auth_error"}, // its old name, in Firebase's SDKs
	"QUOTA_EXCEEDED":         {kind: providers.KindRetry, reason: quotaExceeded},
	"UNAVAILABLE":            {kind: providers.KindRetry, reason: "unavailable"},
	"INTERNAL":               {kind: providers.KindRetry, reason: "internal"},
	"UNSPECIFIED_ERROR":      {kind: providers.KindRetry, reason: "unspecified_error"},
}

// statuses are the canonical codes of Google's APIs, which appear in the body of every error, even if the request did not reach FCM itself,
// https://cloud.google.com/apis/design/errors#error_model. All others are retried.
var statuses = map[string]verdict{
	"UNAUTHENTICATED":     {kind: providers.KindMisconfigured, reason: "unauthenticated"},
	"PERMISSION_DENIED":   {kind: providers.KindMisconfigured, reason: "permission_denied"},
	"NOT_FOUND":           {kind: providers.KindMisconfigured, reason: "not_found"},
	"FAILED_PRECONDITION": {kind: providers.KindMisconfigured, reason: "failed_precondition"},
	"RESOURCE_EXHAUSTED":  {kind: providers.KindRetry, reason: quotaExceeded},
}

const quotaExceeded = "quota_exceeded"

// quotaDelay is how long to wait if FCM's quota is used up and the answer gives no delay,
// https://firebase.google.com/docs/cloud-messaging/scale-fcm#handle-retries.
const quotaDelay = time.Minute

// outcome classifies the answer: by APNs' reason first, then FCM's code, then that of Google's APIs, and the HTTP status last.
func (a *answer) outcome(now time.Time) providers.Outcome {
	if a.status/100 == 2 {
		return providers.Delivered()
	}
	f := a.failure()
	v := f.verdict(a.status)
	o := providers.Outcome{Kind: v.kind, Reason: v.reason, Doubtful: v.doubtful, Word: f.word(), Err: f.complaint()}
	if v.kind != providers.KindRetry && v.kind != providers.KindMisconfigured {
		return o
	}
	o.RetryAfter = network.RetryAfter(a.header.Get("Retry-After"), now)
	if v.kind == providers.KindMisconfigured {
		return o
	}
	quota := a.status == http.StatusTooManyRequests || v.reason == quotaExceeded
	if quota && o.RetryAfter == 0 {
		o.RetryAfter = quotaDelay
	}
	if quota || strings.HasPrefix(v.reason, applePrefix) {
		o.Cause = providers.CauseDevice // FCM works; it does not always say whose quota it is
	}
	return o
}

func (f *failure) verdict(status int) verdict {
	if v, ok := f.appleVerdict(); ok {
		return v
	}
	code := f.code()
	if v, ok := codes[code]; ok {
		return v
	}
	if code == "INVALID_ARGUMENT" || f.Error.Status == "INVALID_ARGUMENT" {
		return f.invalidArgument()
	}
	if f.of(quotaFailure) != nil {
		return verdict{kind: providers.KindRetry, reason: quotaExceeded}
	}
	if v, ok := statuses[f.Error.Status]; ok {
		return v
	}
	if f.Error.Status != "" {
		return verdict{kind: providers.KindRetry, reason: "http_" + strconv.Itoa(status)}
	}
	return byStatus(status)
}

// optionFields are the parts of a message that the operator's options fill, in both spellings.
var optionFields = []string{
	"message.notification", "message.android", "message.android_v2", "message.androidV2", "message.apns", "message.webpush",
	"message.fcm_options", "message.fcmOptions",
}

// invalidToken are Google's texts for a pushkey that is not a registration token, if it names no field:
// https://firebase.google.com/docs/cloud-messaging/error-codes, https://bloomberg.github.io/pushiko/fcm_responses.
var invalidToken = []string{"not a valid FCM registration token", "Invalid registration token"}

// invalidArgument distinguishes an unknown token, an invalid message, and an invalid option of the operator's. The fields that FCM names
// take precedence over its text, which may repeat what was sent.
func (f *failure) invalidArgument() verdict {
	unnamed := len(f.fields()) == 0
	switch {
	case f.about("message.token", "message.fid"),
		unnamed && slices.ContainsFunc(invalidToken, func(said string) bool { return strings.Contains(f.Error.Message, said) }):
		return verdict{kind: providers.KindRejected, reason: "invalid_token", doubtful: true}
	case f.about(optionFields...):
		return verdict{kind: providers.KindMisconfigured, reason: "invalid_option"}
	default:
		return verdict{kind: providers.KindDropped, reason: "invalid_argument"}
	}
}

// byStatus returns the verdict on an answer that is not Google's: from a proxy, or from an overloaded server.
func byStatus(status int) verdict {
	v := verdict{kind: providers.KindRetry, reason: "http_" + strconv.Itoa(status)}
	if status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
		v.kind = providers.KindMisconfigured
	}
	return v
}

// unauthenticated reports whether FCM did not accept the access token, rather than credentials for APNs or a browser.
func (a *answer) unauthenticated() bool {
	if a.status != http.StatusUnauthorized {
		return false
	}
	f := a.failure()
	return f.code() == "" && f.of(apnsError) == nil
}
