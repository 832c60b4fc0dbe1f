package apns

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// reasonForm matches allowed reasons: a reason becomes the value of a metric's label.
var reasonForm = regexp.MustCompile(`^[a-z0-9_]{2,40}$`)

// wordForm matches allowed words of a push service: the operator sees them.
var wordForm = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// FuzzAnswer checks that each answer becomes one of the five outcomes, and that only the reasons that Apple documents for a dead token
// reject a pusher.
func FuzzAnswer(f *testing.F) {
	for _, d := range documented {
		f.Add(d.status, `{"reason":"`+d.reason+`"}`, "")
	}
	f.Add(410, `{"reason":"Unregistered","timestamp":1700000000123}`, "")
	f.Add(410, `{"reason":"ExpiredToken","timestamp":1e99}`, "")
	f.Add(410, `{"reason":"Unregistered","timestamp":-1}`, "1")
	f.Add(410, `{"reason":"Unregistered","timestamp":9223372036854775807}`, "")
	f.Add(410, "{\"reason\":\"Unregistered\",\"timestamp\":\"1700000000123\"}", "")
	f.Add(410, `{"reason":["Unregistered"]}`, "")
	f.Add(410, `<html>Gone</html>`, "")
	f.Add(429, `{"reason":"TooManyRequests","reason":"Unregistered"}`, "86401")
	f.Add(503, strings.Repeat("[", 5000), "Wed, 01 Jul 2099 12:00:00 GMT")
	f.Add(200, `{"reason":"BadDeviceToken"}`, "")
	f.Add(403, "\ufeff"+`{"reason":"SomethingNew"}`, "7200")
	f.Add(400, utf16Of(`{"reason":"BadTopic"}`, binary.LittleEndian), "60")
	f.Add(400, utf16Of("\ufeff"+`{"reason":"BadTopic"}`, binary.BigEndian), "")
	f.Add(422, `{"reason":"`+strings.Repeat("a", 65)+`"}`, "9")
	f.Add(403, `{"reason":"two\nlines"}`, "")
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		a := answer{status: 100 + int(uint(status)%900)}
		if status >= 100 && status < 1000 {
			a.status = status
		}
		if a.status != http.StatusOK { // as post does
			a.retryAfter = network.RetryAfter(retryAfter, time.Now())
			a.read(strings.NewReader(body))
		}
		o := a.outcome()
		if !reasonForm.MatchString(o.Reason) || o.Err != nil || o.Unusable || o.RetryAfter < 0 || o.RetryAfter > 24*time.Hour {
			t.Errorf("%d %s is %+v", a.status, body, o)
		}
		if word := o.Word; word != "" && (word != a.reason || len(word) > 64 || !wordForm.MatchString(word)) {
			t.Errorf("%d %s has the word %q", a.status, body, word)
		}
		if o.Cause == providers.CauseDevice && o.RetryAfter > time.Hour || o.MaxTries != 0 && (o.Kind != providers.KindRetry || o.MaxTries != 3) {
			t.Errorf("%d %s is %+v", a.status, body, o)
		}
		if (a.status == http.StatusOK) != (o.Kind == providers.KindDelivered) {
			t.Errorf("%d %s is %s", a.status, body, o.Kind)
		}
		if o.Kind != providers.KindRejected {
			if !o.Since.IsZero() || o.Doubtful {
				t.Errorf("%d %s is %+v", a.status, body, o)
			}
			return
		}
		dead := []string{"Unregistered", "ExpiredToken"}
		doubtful := []string{"BadDeviceToken", "DeviceTokenNotForTopic"}
		said := reasonsIn(string(asUTF8([]byte(body))))
		proved := slices.ContainsFunc(said, func(reason string) bool { return slices.Contains(dead, reason) })
		if !proved && !o.Doubtful {
			t.Errorf("%d %s rejects without a doubt", a.status, body)
		}
		doubted := slices.ContainsFunc(said, func(reason string) bool { return slices.Contains(doubtful, reason) })
		if !proved && !doubted && (a.status != http.StatusGone || len(said) == 0) {
			t.Errorf("%d %s rejects", a.status, body)
		}
		if !o.Since.IsZero() && o.Since.UnixMilli() <= 0 {
			t.Errorf("%s: dead since %s", body, o.Since)
		}
	})
}

// reasonsIn returns the strings that a JSON object has under the name reason, in any case of letters; encoding/json takes the last.
func reasonsIn(body string) (reasons []string) {
	d := json.NewDecoder(strings.NewReader(body))
	name := ""
	for {
		token, err := d.Token()
		if err != nil {
			return reasons
		}
		text, ok := token.(string)
		if ok && strings.EqualFold(name, "reason") && text != "" {
			reasons = append(reasons, text)
		}
		name = text
	}
}
