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

// detail is one of several kinds: FcmError has an errorCode, ApnsError a reason, google.rpc.BadRequest fieldViolations.
type detail struct {
	Type            string `json:"@type"`
	ErrorCode       string `json:"errorCode"`
	Reason          string `json:"reason"`
	FieldViolations []struct {
		Field string `json:"field"`
	} `json:"fieldViolations"`
}

// The types of details, behind type.googleapis.com/.
const (
	fcmError     = "google.firebase.fcm.v1.FcmError"
	apnsError    = "google.firebase.fcm.v1.ApnsError"
	quotaFailure = "google.rpc.QuotaFailure"
)

func (a *answer) failure() (f failure) {
	_ = json.Unmarshal(a.body, &f) // whatever else stands there did not come from FCM
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

// code is FCM's own word for what happened; empty if it did not say.
func (f *failure) code() string {
	if d := f.of(fcmError); d != nil {
		return d.ErrorCode
	}
	return ""
}

// apple is APNs' word for what happened, which FCM repeats; empty if it did not.
func (f *failure) apple() string {
	if d := f.of(apnsError); d != nil {
		return d.Reason
	}
	return ""
}

// word is the most specific one that there is.
func (f *failure) word() string {
	for _, said := range []string{f.apple(), f.code(), f.Error.Status} {
		if word := providers.Word(said); word != "" {
			return word
		}
	}
	return ""
}

// fields are the parts of the message that FCM does not like.
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

// about reports whether a part of the message is what FCM does not like.
func (f *failure) about(parts ...string) bool {
	return slices.ContainsFunc(f.fields(), func(field string) bool {
		return slices.ContainsFunc(parts, func(part string) bool {
			rest, ok := strings.CutPrefix(field, part)
			return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
		})
	})
}

// complaint names the parts of the message that FCM does not like; nil if it named none. Only names of the schema are shown: what else FCM
// says may repeat what it was sent.
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
	return errors.New("FCM does not take " + strings.Join(known, ", "))
}

// appleVerdict is what APNs' word means by APNs' own table. Its reasons are the table's behind apns_.
func (f *failure) appleVerdict() (verdict, bool) {
	v, known := apnsreason.Verdicts[f.apple()]
	return verdict{kind: v.Kind, reason: applePrefix + v.Reason, doubtful: v.Doubtful}, known
}

// applePrefix is in front of the reasons that come from APNs through FCM.
const applePrefix = "apns_"
