package apns

import (
	"slices"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/apnsreason"
)

// documented are the answers in Apple's table,
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns, and what each must mean.
var documented = []struct {
	status int
	reason string
	want   providers.Kind
}{
	{400, "BadCollapseId", providers.KindDropped},
	{400, "BadDeviceToken", providers.KindRejected},
	{400, "BadExpirationDate", providers.KindDropped},
	{400, "BadMessageId", providers.KindDropped},
	{400, "BadPriority", providers.KindMisconfigured},
	{400, "BadTopic", providers.KindMisconfigured},
	{400, "DeviceTokenNotForTopic", providers.KindRejected},
	{400, "DuplicateHeaders", providers.KindDropped},
	{400, "IdleTimeout", providers.KindRetry},
	{400, "InvalidPushType", providers.KindMisconfigured},
	{400, "MissingDeviceToken", providers.KindDropped},
	{400, "MissingTopic", providers.KindMisconfigured},
	{400, "PayloadEmpty", providers.KindDropped},
	{400, "TopicDisallowed", providers.KindMisconfigured},
	{403, "BadCertificate", providers.KindMisconfigured},
	{403, "BadCertificateEnvironment", providers.KindMisconfigured},
	{403, "ExpiredProviderToken", providers.KindMisconfigured},
	{403, "Forbidden", providers.KindMisconfigured},
	{403, "InvalidProviderToken", providers.KindMisconfigured},
	{403, "MissingProviderToken", providers.KindMisconfigured},
	{403, "UnrelatedKeyIdInToken", providers.KindMisconfigured},
	{403, "BadEnvironmentKeyIdInToken", providers.KindMisconfigured},
	{403, "BadEnvironmentKeyInToken", providers.KindMisconfigured}, // what APNs sends: https://github.com/swift-server-community/APNSwift/pull/229
	{404, "BadPath", providers.KindMisconfigured},
	{405, "MethodNotAllowed", providers.KindMisconfigured},
	{410, "ExpiredToken", providers.KindRejected},
	{410, "Unregistered", providers.KindRejected},
	{413, "PayloadTooLarge", providers.KindDropped},
	{429, "TooManyProviderTokenUpdates", providers.KindRetry},
	{429, "TooManyRequests", providers.KindRetry},
	{500, "InternalServerError", providers.KindRetry},
	{503, "ServiceUnavailable", providers.KindRetry},
	{503, "Shutdown", providers.KindRetry},
}

func TestEveryDocumentedReasonHasItsRow(t *testing.T) {
	t.Parallel()
	if len(apnsreason.Verdicts) != len(documented) {
		t.Errorf("%d reasons are known, %d are documented", len(apnsreason.Verdicts), len(documented))
	}
	for _, d := range documented {
		v, known := apnsreason.Verdicts[d.reason]
		if o := (answer{status: d.status, reason: d.reason}).outcome(); !known || o.Kind != d.want || o.Reason != v.Reason {
			t.Errorf("%d %s is %s (%s), want %s", d.status, d.reason, o.Kind, o.Reason, d.want)
		}
	}
}

// Only a dead token may cost a pusher, and one that a wrong environment or topic would explain as well is doubted.
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

func TestAnAnswerWithoutADocumentedReasonIsClassifiedByItsStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		reason string
		want   providers.Kind
	}{
		{"taken", 200, "", providers.KindDelivered},
		{"a redirect", 302, "", providers.KindRetry},
		{"refused for a new reason", 400, "SomethingNew", providers.KindDropped},
		{"forbidden for a new reason", 403, "SomethingNew", providers.KindMisconfigured},
		{"dead for a new reason", 410, "SomethingNew", providers.KindRejected},
		{"too large for a new reason", 413, "SomethingNew", providers.KindDropped},
		{"too many for a new reason", 429, "SomethingNew", providers.KindRetry},
		{"out of order for a new reason", 500, "SomethingNew", providers.KindRetry},
		{"refused by something in between", 400, "", providers.KindRetry},
		{"gone, says something in between", 410, "", providers.KindRetry},
		{"out of order, says something in between", 502, "", providers.KindRetry},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if o := (answer{status: test.status, reason: test.reason}).outcome(); o.Kind != test.want {
				t.Errorf("got %s", o.Kind)
			}
		})
	}
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
