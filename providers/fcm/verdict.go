package fcm

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/network"
)

// failure is the body of an error, https://cloud.google.com/apis/design/errors and
// https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode.
type failure struct {
	Error struct {
		Status  string `json:"status"`
		Message string `json:"message"`
		Details []struct {
			Type            string `json:"@type"`
			ErrorCode       string `json:"errorCode"`
			FieldViolations []struct {
				Field       string `json:"field"`
				Description string `json:"description"`
			} `json:"fieldViolations"`
		} `json:"details"`
	} `json:"error"`
}

func (a *answer) failure() (f failure) {
	_ = json.Unmarshal(a.body, &f) // whatever else stands there did not come from FCM
	return f
}

// code is FCM's own word for what happened; empty if it did not say.
func (f *failure) code() string {
	for _, d := range f.Error.Details {
		if strings.HasSuffix(d.Type, "google.firebase.fcm.v1.FcmError") {
			return d.ErrorCode
		}
	}
	return ""
}

// about says whether a part of the message is what FCM does not like.
func (f *failure) about(fields ...string) bool {
	for _, d := range f.Error.Details {
		for _, v := range d.FieldViolations {
			for _, field := range fields {
				if v.Field == field || strings.HasPrefix(v.Field, field+".") {
					return true
				}
			}
		}
	}
	return false
}

// fieldForm is what the name of a message's field may look like. What else FCM says may repeat what it was sent.
var fieldForm = regexp.MustCompile(`^message(\.[a-z_]+)*$`)

// complaint names the parts of the message that FCM does not like; nil if it named none.
func (f *failure) complaint() error {
	var fields []string
	for _, d := range f.Error.Details {
		for _, v := range d.FieldViolations {
			if fieldForm.MatchString(v.Field) && len(v.Field) < 100 && len(fields) < 10 {
				fields = append(fields, v.Field)
			}
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return errors.New("FCM does not take " + strings.Join(fields, ", "))
}

// verdict is what an error says about a push.
type verdict struct {
	kind     providers.Kind
	reason   string
	doubtful bool
}

// codes are FCM's own error codes, https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, but for INVALID_ARGUMENT. Only a dead
// token rejects; the status says nothing: a wrong project is a 404 as well as a dead token.
var codes = map[string]verdict{
	"UNREGISTERED":           {kind: providers.KindRejected, reason: "unregistered"},
	"SENDER_ID_MISMATCH":     {kind: providers.KindMisconfigured, reason: "sender_id_mismatch"},
	"THIRD_PARTY_AUTH_ERROR": {kind: providers.KindMisconfigured, reason: "third_party_auth_error"},
	"QUOTA_EXCEEDED":         {kind: providers.KindRetry, reason: "quota_exceeded"},
	"UNAVAILABLE":            {kind: providers.KindRetry, reason: "unavailable"},
	"INTERNAL":               {kind: providers.KindRetry, reason: "internal"},
	"UNSPECIFIED_ERROR":      {kind: providers.KindRetry, reason: "unspecified_error"},
}

// statuses are the canonical codes of Google's APIs, which stand in the body of every error, also where FCM itself was not reached,
// https://cloud.google.com/apis/design/errors#error_model. Those that are not here are for later.
var statuses = map[string]verdict{
	"UNAUTHENTICATED":     {kind: providers.KindMisconfigured, reason: "unauthenticated"},
	"PERMISSION_DENIED":   {kind: providers.KindMisconfigured, reason: "permission_denied"},
	"NOT_FOUND":           {kind: providers.KindMisconfigured, reason: "not_found"},
	"FAILED_PRECONDITION": {kind: providers.KindMisconfigured, reason: "failed_precondition"},
	"RESOURCE_EXHAUSTED":  {kind: providers.KindRetry, reason: "quota_exceeded"},
}

// quotaDelay is how long to wait where FCM's quota is used up and it does not say for how long,
// https://firebase.google.com/docs/cloud-messaging/scale-fcm#handle-retries.
const quotaDelay = time.Minute

// outcome classifies the answer.
func (a *answer) outcome(now time.Time) providers.Outcome {
	if a.status/100 == 2 {
		return providers.Delivered()
	}
	f := a.failure()
	v := f.verdict(a.status)
	o := providers.Outcome{Kind: v.kind, Reason: v.reason, Doubtful: v.doubtful, Err: f.complaint()}
	if v.kind == providers.KindRetry || v.kind == providers.KindMisconfigured {
		o.RetryAfter = network.RetryAfter(a.header.Get("Retry-After"), now)
		if o.RetryAfter == 0 && v.reason == "quota_exceeded" {
			o.RetryAfter = quotaDelay
		}
	}
	if v.kind == providers.KindRetry && (a.status == http.StatusTooManyRequests || v.reason == "quota_exceeded") {
		o.Cause = providers.CauseDevice // FCM is in order; whose quota it is, it does not always say
	}
	return o
}

func (f *failure) verdict(status int) verdict {
	code := f.code()
	if v, ok := codes[code]; ok {
		return v
	}
	if code == "INVALID_ARGUMENT" || f.Error.Status == "INVALID_ARGUMENT" {
		return f.invalidArgument()
	}
	if v, ok := statuses[f.Error.Status]; ok {
		return v
	}
	if f.Error.Status != "" {
		return verdict{kind: providers.KindRetry, reason: "http_" + strconv.Itoa(status)}
	}
	return byStatus(status)
}

// optionFields are the parts of a message that the operator's options fill.
var optionFields = []string{"message.notification", "message.android", "message.apns", "message.webpush"}

// invalidArgument tells a token that FCM does not know from a message that it does not like, and from what the operator wants in
// each message.
func (f *failure) invalidArgument() verdict {
	switch {
	case f.about("message.token"), strings.Contains(f.Error.Message, "not a valid FCM registration token"):
		return verdict{kind: providers.KindRejected, reason: "invalid_token", doubtful: true}
	case f.about(optionFields...):
		return verdict{kind: providers.KindMisconfigured, reason: "invalid_option"}
	default:
		return verdict{kind: providers.KindDropped, reason: "invalid_argument"}
	}
}

// byStatus is the verdict on an answer that is not Google's: of a proxy, or of a server that is on its knees.
func byStatus(status int) verdict {
	v := verdict{kind: providers.KindRetry, reason: "http_" + strconv.Itoa(status)}
	if status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
		v.kind = providers.KindMisconfigured
	}
	return v
}

// unauthenticated says whether it was the access token that FCM did not take.
func (a *answer) unauthenticated() bool {
	if a.status != http.StatusUnauthorized {
		return false
	}
	f := a.failure()
	return f.code() == "" // otherwise it is about APNs' or a browser's credentials
}
