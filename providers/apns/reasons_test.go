package apns

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

// Where a row of the table below is from.
const (
	// a1 is Apple's table "Handling notification responses from APNs",
	// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns.
	a1 = "Apple's page"
	// wire is what APNs was seen to send: https://github.com/swift-server-community/APNSwift/pull/229.
	wire = "APNSwift#229"
)

// documented are the answers of APNs, and what each must mean.
var documented = []struct {
	status int
	reason string
	want   providers.Kind
	source string
}{
	{400, "BadCollapseId", providers.KindDropped, a1},
	{400, "BadDeviceToken", providers.KindRejected, a1},
	{400, "BadExpirationDate", providers.KindDropped, a1},
	{400, "BadMessageId", providers.KindDropped, a1},
	{400, "BadPriority", providers.KindMisconfigured, a1},
	{400, "BadTopic", providers.KindMisconfigured, a1},
	{400, "DeviceTokenNotForTopic", providers.KindRejected, a1},
	{400, "DuplicateHeaders", providers.KindDropped, a1},
	{400, "IdleTimeout", providers.KindRetry, a1},
	{400, "InvalidPushType", providers.KindMisconfigured, a1},
	{400, "MissingDeviceToken", providers.KindDropped, a1},
	{400, "MissingTopic", providers.KindMisconfigured, a1},
	{400, "PayloadEmpty", providers.KindDropped, a1},
	{400, "TopicDisallowed", providers.KindMisconfigured, a1},
	{403, "BadCertificate", providers.KindMisconfigured, a1},
	{403, "BadCertificateEnvironment", providers.KindMisconfigured, a1},
	{403, "ExpiredProviderToken", providers.KindMisconfigured, a1},
	{403, "Forbidden", providers.KindMisconfigured, a1},
	{403, "InvalidProviderToken", providers.KindMisconfigured, a1},
	{403, "MissingProviderToken", providers.KindMisconfigured, a1},
	{403, "UnrelatedKeyIdInToken", providers.KindMisconfigured, a1},
	{403, "BadEnvironmentKeyIdInToken", providers.KindMisconfigured, a1},
	{403, "BadEnvironmentKeyInToken", providers.KindMisconfigured, wire},
	{404, "BadPath", providers.KindMisconfigured, a1},
	{405, "MethodNotAllowed", providers.KindMisconfigured, a1},
	{410, "ExpiredToken", providers.KindRejected, a1},
	{410, "Unregistered", providers.KindRejected, a1},
	{413, "PayloadTooLarge", providers.KindDropped, a1},
	{429, "TooManyProviderTokenUpdates", providers.KindRetry, a1},
	{429, "TooManyRequests", providers.KindRetry, a1},
	{500, "InternalServerError", providers.KindRetry, a1},
	{503, "ServiceUnavailable", providers.KindRetry, a1},
	{503, "Shutdown", providers.KindRetry, a1},
}

func TestEveryDocumentedReasonHasItsRow(t *testing.T) {
	t.Parallel()
	if len(apnsreason.Verdicts) != len(documented) {
		t.Errorf("%d reasons are known, %d are documented", len(apnsreason.Verdicts), len(documented))
	}
	for _, d := range documented {
		v, known := apnsreason.Verdicts[d.reason]
		o := (answer{status: d.status, reason: d.reason}).outcome()
		if !known || o.Kind != d.want || o.Reason != v.Reason || o.Word != d.reason {
			t.Errorf("%s: %d %s is %s (%s, %s), want %s", d.source, d.status, d.reason, o.Kind, o.Reason, o.Word, d.want)
		}
	}
}

// Only a dead token may cost a pusher. If a wrong environment or topic could cause the same answer, the rejection is doubtful.
func TestNothingButADeadTokenRejects(t *testing.T) {
	t.Parallel()
	dead := []string{"Unregistered", "ExpiredToken"}
	doubtful := []string{"BadDeviceToken", "DeviceTokenNotForTopic"}
	for _, d := range documented {
		o := answer{status: d.status, reason: d.reason}.outcome()
		if rejects := o.Kind == providers.KindRejected; rejects != slices.Contains(append(dead, doubtful...), d.reason) {
			t.Errorf("%s is %s", d.reason, o.Kind)
		}
		if o.Doubtful != slices.Contains(doubtful, d.reason) {
			t.Errorf("%s: doubtful is %v", d.reason, o.Doubtful)
		}
	}
	for status := 100; status < 600; status++ {
		for _, reason := range []string{"", "SomethingNew"} {
			o := answer{status: status, reason: reason}.outcome()
			if o.Kind == providers.KindRejected && (status != 410 || reason == "" || !o.Doubtful) {
				t.Errorf("%d with the reason %q rejects", status, reason)
			}
		}
	}
}

// The order is: the service's reason, 410, 413, Retry-After, and the rest of the status.
func TestAnAnswerWithoutADocumentedReasonIsClassifiedByItsStatus(t *testing.T) {
	t.Parallel()
	const minute, day = time.Minute, 24 * time.Hour
	tests := []struct {
		name       string
		status     int
		reason     string
		retryAfter time.Duration
		want       providers.Outcome
	}{
		{"taken", 200, "", 0, providers.Delivered()},
		{"a redirect", 302, "", 0, providers.Retry("http_302", 0, nil)},
		{"refused for a new reason", 400, "SomethingNew", 0, providers.Dropped("http_400", nil)},
		{"not processable for a new reason", 422, "SomethingNew", 0, providers.Dropped("http_422", nil)},
		{"not authorized", 401, "", 0, providers.Misconfigured("http_401", nil)},
		{"forbidden for a new reason", 403, "SomethingNew", 0, providers.Misconfigured("http_403", nil)},
		{"forbidden for no reason", 403, "", 0, providers.Misconfigured("http_403", nil)},
		{"not found for a new reason", 404, "SomethingNew", 0, providers.Misconfigured("http_404", nil)},
		{"dead for a new reason", 410, "SomethingNew", 0, doubted("http_410")},
		{"dead for a new reason, and for later", 410, "SomethingNew", minute, doubted("http_410")},
		{"too large for a new reason", 413, "SomethingNew", 0, providers.Dropped("http_413", nil)},
		{"too large for no reason", 413, "", minute, providers.Dropped("http_413", nil)},
		{"too many for a new reason", 429, "SomethingNew", 0, providers.Limited("http_429", 0, nil)},
		{"too many for a day", 429, "", day, providers.Limited("http_429", time.Hour, nil)},
		{"refused, and for later", 400, "SomethingNew", minute, tries(3, providers.Limited("http_400", minute, nil))},
		{"refused for no reason, and for later", 400, "", minute, tries(3, providers.Limited("http_400", minute, nil))},
		{"not processable, and for later", 422, "", minute, tries(3, providers.Limited("http_422", minute, nil))},
		{"forbidden, and for later", 403, "SomethingNew", day, providers.Limited("http_403", time.Hour, nil)},
		{"not found, and for later", 404, "", minute, providers.Limited("http_404", minute, nil)},
		{"a word that is known goes before Retry-After", 400, "BadTopic", minute, after(minute, providers.Misconfigured("bad_topic", nil))},
		{"and before 410", 410, "TooManyRequests", 0, providers.Limited("too_many_requests", 0, nil)},
		{"and before 413", 413, "Unregistered", 0, providers.Rejected("unregistered")},
		{"too many for one device, for a day", 429, "TooManyRequests", day, providers.Limited("too_many_requests", time.Hour, nil)},
		{"too many of our tokens, for a day", 429, "TooManyProviderTokenUpdates", day, providers.Retry("too_many_provider_token_updates", day, nil)},
		{"out of order for a new reason", 500, "SomethingNew", 0, providers.Retry("http_500", 0, nil)},
		{"out of order, and for later", 503, "SomethingNew", day, providers.Retry("http_503", day, nil)},
		{"refused by something in between", 400, "", 0, providers.Retry("http_400", 0, nil)},
		{"gone, says something in between", 410, "", 0, providers.Retry("http_410", 0, nil)},
		{"out of order, says something in between", 502, "", 0, providers.Retry("http_502", 0, nil)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.want.Word = test.reason
			if o := (answer{status: test.status, reason: test.reason, retryAfter: test.retryAfter}).outcome(); o != test.want {
				t.Errorf("got %+v, want %+v", o, test.want)
			}
		})
	}
}

func doubted(reason string) providers.Outcome {
	o := providers.Rejected(reason)
	o.Doubtful = true
	return o
}

func tries(most int, o providers.Outcome) providers.Outcome {
	o.MaxTries = most
	return o
}

func after(d time.Duration, o providers.Outcome) providers.Outcome {
	o.RetryAfter = d
	return o
}

// A proxy between here and Apple may change the form of an answer.
func TestAReasonIsFoundInWhateverFormTheAnswerHas(t *testing.T) {
	t.Parallel()
	const said = `{"reason":"BadTopic"}`
	for name, body := range map[string]string{
		"as Apple sends it": said, "a byte order mark": "\ufeff" + said, "more members": `{"error":{"reason":"Unregistered"},"reason":"BadTopic","x":[1]}`,
		"space": " \r\n" + said + "\n", "UTF-16, little endian": utf16Of(said, binary.LittleEndian), "UTF-16, big endian": utf16Of(said, binary.BigEndian),
		"UTF-16 with its mark, little endian": utf16Of("\ufeff"+said, binary.LittleEndian), "UTF-16 with its mark, big endian": utf16Of("\ufeff"+said, binary.BigEndian),
		"Latin-1 in another member": `{"text":"Z` + "\xfc" + `rich","reason":"BadTopic"}`, "escapes": `{"reason":"Bad\u0054opic"}`,
		"a timestamp that is not one": `{"reason":"BadTopic","timestamp":"today"}`, "a timestamp beyond all": `{"reason":"BadTopic","timestamp":1e400}`,
	} {
		a := answer{status: 400}
		a.read(reader(body))
		if o := a.outcome(); o.Reason != "bad_topic" || o.Word != "BadTopic" || !o.Since.IsZero() {
			t.Errorf("%s: got %+v", name, o)
		}
	}
}

func utf16Of(s string, order binary.AppendByteOrder) string {
	var encoded []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		encoded = order.AppendUint16(encoded, unit)
	}
	return string(encoded)
}

// A reason that is not Apple's may repeat what was sent, and may have any length.
func TestOfAnAnswerThatIsNotApplesTheStatusDecidesAndNothingIsShown(t *testing.T) {
	t.Parallel()
	const megabytes = 10 << 20
	bodies := map[string]string{
		"nothing": "", "HTML": "<html>BadDeviceToken</html>", "broken JSON": `{"reason":"Unregistered"`, "a list": `["Unregistered"]`,
		"a word": `"Unregistered"`, "a reason that is a number": `{"reason":410}`, "a reason that is an object": `{"reason":{"reason":"Unregistered"}}`,
		"two objects": `{"reason":"Unregistered"}{}`, "another name": `{"Reason":"Unregistered"}`,
		"10 MB": `{"reason":"Unregistered","x":"` + strings.Repeat("x", megabytes) + `"}`, "10 MB in front": strings.Repeat(" ", megabytes) + `{"reason":"Unregistered"}`,
		"10,000 letters": `{"reason":"` + strings.Repeat("a", 10_000) + `"}`,
	}
	for name, body := range bodies {
		for status, want := range map[int]providers.Kind{
			400: providers.KindRetry, 403: providers.KindMisconfigured, 410: providers.KindRetry, 413: providers.KindDropped, 503: providers.KindRetry,
		} {
			a, source := answer{status: status}, strings.NewReader(body)
			a.read(source)
			if o := a.outcome(); o.Kind != want || o.Reason != fmt.Sprintf("http_%d", status) || o.Word != "" || o.Err != nil {
				t.Errorf("%s with %d: got %+v", name, status, o)
			}
			if read := len(body) - source.Len(); read > maxAnswer+1 {
				t.Errorf("%s: %d bytes were read", name, read)
			}
		}
	}
	for _, reason := range []string{strings.Repeat("a", 2000), "two\nlines", "a token/abc", "Ünregistered", "<b>"} {
		a := answer{status: 403}
		a.read(bytes.NewReader(marshal(t, map[string]string{"reason": reason})))
		if o := a.outcome(); o.Kind != providers.KindMisconfigured || o.Reason != "http_403" || o.Word != "" || o.Err != nil {
			t.Errorf("%.20q: got %+v", reason, o)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestADeadTokenIsDeadSinceWhenAPNsSays(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_123)
	a := answer{status: 410}
	a.read(reader(`{"reason": "Unregistered", "timestamp": 1700000000123}`))
	if o := a.outcome(); !o.Since.Equal(at) || o.Kind != providers.KindRejected {
		t.Errorf("got %+v", o)
	}
}
