package fcm

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/fcmmessage"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

// failure is the body of an error, https://cloud.google.com/apis/design/errors and
// https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode.
type failure struct {
	Error struct {
		Status  string   `json:"status"`
		Message string   `json:"message"`
		Details []detail `json:"details"`
	} `json:"error"`
}

// detail is one of several kinds: an FcmError has an errorCode, an ApnsError a reason, a google.rpc.BadRequest fieldViolations.
type detail struct {
	Type            string `json:"@type"`
	ErrorCode       string `json:"errorCode"`
	Reason          string `json:"reason"`
	FieldViolations []struct {
		Field string `json:"field"`
	} `json:"fieldViolations"`
}

// These are the types of details, behind type.googleapis.com/.
const (
	fcmError     = "google.firebase.fcm.v1.FcmError"
	apnsError    = "google.firebase.fcm.v1.ApnsError"
	quotaFailure = "google.rpc.QuotaFailure"
)

func (a *answer) failure() (f failure) {
	_ = json.Unmarshal(a.body, &f) // anything else did not come from FCM
	return f
}

// of returns the first detail of a type; nil if there is none.
func (f *failure) of(kind string) *detail {
	for i := range f.Error.Details {
		if d := &f.Error.Details[i]; strings.HasSuffix(d.Type, kind) {
			return d
		}
	}
	return nil
}

// code returns FCM's own error code; empty if there is none.
func (f *failure) code() string {
	if d := f.of(fcmError); d != nil {
		return d.ErrorCode
	}
	return ""
}

// apple returns APNs' reason, which FCM passes on; empty if there is none.
func (f *failure) apple() string {
	if d := f.of(apnsError); d != nil {
		return d.Reason
	}
	return ""
}

// word returns the most specific word in the answer.
func (f *failure) word() string {
	for _, said := range []string{f.apple(), f.code(), f.Error.Status} {
		if word := providers.Word(said); word != "" {
			return word
		}
	}
	return ""
}

// fields returns the parts of the message that FCM does not accept.
func (f *failure) fields() (fields []string) {
	for _, d := range f.Error.Details {
		for _, v := range d.FieldViolations {
			if v.Field != "" {
				fields = append(fields, v.Field)
			}
		}
	}
	return fields
}

// about reports whether FCM does not accept one of these parts of the message.
func (f *failure) about(parts ...string) bool {
	return slices.ContainsFunc(f.fields(), func(field string) bool {
		return slices.ContainsFunc(parts, func(part string) bool {
			rest, ok := strings.CutPrefix(field, part)
			return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
		})
	})
}

// complaint names the parts of the message that FCM does not accept; nil if FCM named none. It only shows names of the schema: anything
// else in FCM's answer may repeat what was sent.
func (f *failure) complaint() error {
	var known []string
	for _, field := range f.fields() {
		if name := fcmmessage.Known(field); name != "" && !slices.Contains(known, name) && len(known) < 10 {
			known = append(known, name)
		}
	}
	if len(known) == 0 {
		return nil
	}
	return errors.New("FCM does not accept " + strings.Join(known, ", "))
}

// appleVerdict returns what APNs' reason means by APNs' own table. Its reasons are the table's with the prefix apns_.
func (f *failure) appleVerdict() (verdict, bool) {
	v, known := apnsreason.Verdicts[f.apple()]
	return verdict{kind: v.Kind, reason: applePrefix + v.Reason, doubtful: v.Doubtful}, known
}

// applePrefix is the prefix of reasons that come from APNs through FCM.
const applePrefix = "apns_"
