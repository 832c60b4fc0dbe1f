package fcm

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

var (
	// reasonForm matches allowed reasons: a reason becomes the value of a metric's label.
	reasonForm = regexp.MustCompile(`^[a-z0-9_]{2,40}$`)
	// complaintForm matches allowed errors: names of fields, but nothing that was sent.
	complaintForm = regexp.MustCompile(`^FCM does not accept message[a-zA-Z0-9_.]*(, message[a-zA-Z0-9_.]*)*$`)
	// wordForm matches allowed words of a push service.
	wordForm = regexp.MustCompile(`^[a-zA-Z0-9_]{0,64}$`)
)

// FuzzAnswer checks that each answer becomes one of the five outcomes, and that only FCM's code for a dead token rejects a pusher.
func FuzzAnswer(f *testing.F) {
	for _, code := range errorCodes {
		if code != "UNSPECIFIED_ERROR" && code != "APNS_AUTH_ERROR" {
			a := fcmtest.ErrorFor(code)
			f.Add(a.Status, a.Body, a.Header.Get("Retry-After"))
		}
	}
	for code, status := range canonicalCodes {
		f.Add(status, fcmtest.Error(status, code, "", "The registration token is not a valid FCM registration token").Body, "7")
	}
	f.Add(404, `<html>Not Found</html>`, "")
	f.Add(404, `{"error":{"code":404,"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","errorCode":"UNREGISTERED"}]}}`, "")
	f.Add(400, `{"error":{"status":"INVALID_ARGUMENT","details":[{"fieldViolations":[{"field":"message.token.x"},{"field":"message.tokens"}]}]}}`, "")
	f.Add(400, `{"error":{"status":"INVALID_ARGUMENT","details":[{"fieldViolations":[{"field":"message.data[0].value","description":"secret"}]}]}}`, "-1")
	f.Add(503, `{"error":{"details":[{"@type":"google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"},{"errorCode":7}]}}`, "1e9")
	for reason := range apnsreason.Verdicts {
		f.Add(400, fcmtest.AppleError(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "No.", 400, reason).Body, "")
		f.Add(401, fcmtest.AppleError(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "No.", 403, reason).Body, "")
	}
	f.Add(410, `{"error":{"status":"X","details":[{"@type":"google.firebase.fcm.v1.ApnsError","reason":"Unregistered\n","statusCode":"410"}]}}`, "")
	f.Add(400, `{"error":{"details":[{"@type":"google.rpc.ErrorInfo","reason":"Unregistered"},{"@type":"google.rpc.QuotaFailure"}]}}`, "")
	f.Add(200, `{"name":"projects/p/messages/1"}`, "")
	f.Add(401, `{"error":[]}`, "")
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		a := &answer{status: 100 + int(uint(status)%900), header: http.Header{"Retry-After": {retryAfter}}, body: []byte(body)}
		if status >= 100 && status < 1000 {
			a.status = status
		}
		o := a.outcome(time.Now())
		if !reasonForm.MatchString(o.Reason) || o.Unusable || !o.Since.IsZero() || o.RetryAfter < 0 || o.RetryAfter > 24*time.Hour {
			t.Errorf("%d %s is %+v", a.status, body, o)
		}
		if o.Err != nil && !complaintForm.MatchString(o.Err.Error()) {
			t.Errorf("%d %s says %q", a.status, body, o.Err)
		}
		if !wordForm.MatchString(o.Word) || (o.Word != "" && !slices.Contains(textsIn(body), o.Word)) {
			t.Errorf("%d %s has the word %q", a.status, body, o.Word)
		}
		if (a.status/100 == 2) != (o.Kind == providers.KindDelivered) {
			t.Errorf("%d %s is %s", a.status, body, o.Kind)
		}
		if a.unauthenticated() && a.status != http.StatusUnauthorized {
			t.Errorf("a %d is about the access token", a.status)
		}
		if o.Kind != providers.KindRejected {
			if o.Doubtful {
				t.Errorf("%d %s is %+v", a.status, body, o)
			}
			return
		}
		said := textsIn(body)
		says := func(part string) bool {
			return slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, part) })
		}
		dead := slices.Contains(said, "UNREGISTERED") && says("google.firebase.fcm.v1.FcmError")
		invalid := slices.Contains(said, "INVALID_ARGUMENT") && (says("message.token") || says("message.fid") ||
			says("not a valid FCM registration token") || says("Invalid registration token"))
		apple := slices.ContainsFunc(said, func(text string) bool {
			v, known := apnsreason.Verdicts[text]
			return known && v.Kind == providers.KindRejected && v.Doubtful == o.Doubtful
		}) && says("google.firebase.fcm.v1.ApnsError")
		if !dead && !apple && !(invalid && o.Doubtful) {
			t.Errorf("%d %s rejects, doubtful: %t", a.status, body, o.Doubtful)
		}
	})
}

// textsIn returns all strings in JSON.
func textsIn(body string) (texts []string) {
	d := json.NewDecoder(strings.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return texts
		}
		if text, ok := token.(string); ok {
			texts = append(texts, text)
		}
	}
}
