package apns

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// verdict is what an answer of APNs says about a push.
type verdict struct {
	kind   providers.Kind
	reason string
	// doubtful: a wrong environment or topic of the operator's would look the same.
	doubtful bool
}

// reasons are all that Apple documents,
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns. Only a dead token rejects. What
// is wrong with every push of the app is for the operator to mend; what is wrong with this one will not get better.
var reasons = map[string]verdict{
	// The token is dead: the device no longer has the app, or not with this token.
	apns2.ReasonUnregistered: {kind: providers.KindRejected, reason: "unregistered"},
	apns2.ReasonExpiredToken: {kind: providers.KindRejected, reason: "expired_token"},
	// So it seems, if environment and topic are right.
	apns2.ReasonBadDeviceToken:         {kind: providers.KindRejected, reason: "bad_device_token", doubtful: true},
	apns2.ReasonDeviceTokenNotForTopic: {kind: providers.KindRejected, reason: "device_token_not_for_topic", doubtful: true},

	// This push cannot be delivered.
	apns2.ReasonBadCollapseID:      {kind: providers.KindDropped, reason: "bad_collapse_id"},
	apns2.ReasonBadExpirationDate:  {kind: providers.KindDropped, reason: "bad_expiration_date"},
	apns2.ReasonBadMessageID:       {kind: providers.KindDropped, reason: "bad_message_id"},
	apns2.ReasonDuplicateHeaders:   {kind: providers.KindDropped, reason: "duplicate_headers"},
	apns2.ReasonMissingDeviceToken: {kind: providers.KindDropped, reason: "missing_device_token"},
	apns2.ReasonPayloadEmpty:       {kind: providers.KindDropped, reason: "payload_empty"},
	apns2.ReasonPayloadTooLarge:    {kind: providers.KindDropped, reason: "payload_too_large"},

	// The operator has to mend a setting or a credential.
	apns2.ReasonBadPriority:               {kind: providers.KindMisconfigured, reason: "bad_priority"},
	apns2.ReasonBadTopic:                  {kind: providers.KindMisconfigured, reason: "bad_topic"},
	apns2.ReasonInvalidPushType:           {kind: providers.KindMisconfigured, reason: "invalid_push_type"},
	apns2.ReasonMissingTopic:              {kind: providers.KindMisconfigured, reason: "missing_topic"},
	apns2.ReasonTopicDisallowed:           {kind: providers.KindMisconfigured, reason: "topic_disallowed"},
	apns2.ReasonBadCertificate:            {kind: providers.KindMisconfigured, reason: "bad_certificate"},
	apns2.ReasonBadCertificateEnvironment: {kind: providers.KindMisconfigured, reason: "bad_certificate_environment"},
	apns2.ReasonExpiredProviderToken:      {kind: providers.KindMisconfigured, reason: "expired_provider_token"},
	apns2.ReasonForbidden:                 {kind: providers.KindMisconfigured, reason: "forbidden"},
	apns2.ReasonInvalidProviderToken:      {kind: providers.KindMisconfigured, reason: "invalid_provider_token"},
	apns2.ReasonMissingProviderToken:      {kind: providers.KindMisconfigured, reason: "missing_provider_token"},
	"UnrelatedKeyIdInToken":               {kind: providers.KindMisconfigured, reason: "unrelated_key_id_in_token"},
	"BadEnvironmentKeyIdInToken":          {kind: providers.KindMisconfigured, reason: "bad_environment_key_id_in_token"},
	apns2.ReasonBadPath:                   {kind: providers.KindMisconfigured, reason: "bad_path"},
	apns2.ReasonMethodNotAllowed:          {kind: providers.KindMisconfigured, reason: "method_not_allowed"},

	// APNs may take it later.
	apns2.ReasonIdleTimeout:                 {kind: providers.KindRetry, reason: "idle_timeout"},
	apns2.ReasonTooManyProviderTokenUpdates: {kind: providers.KindRetry, reason: "too_many_provider_token_updates"},
	apns2.ReasonTooManyRequests:             {kind: providers.KindRetry, reason: "too_many_requests"},
	apns2.ReasonInternalServerError:         {kind: providers.KindRetry, reason: "internal_server_error"},
	apns2.ReasonServiceUnavailable:          {kind: providers.KindRetry, reason: "service_unavailable"},
	apns2.ReasonShutdown:                    {kind: providers.KindRetry, reason: "shutdown"},
}

// byStatus is the verdict where APNs gives no reason, or one that is not documented. A 410 says by itself that the token is dead; but
// only APNs can say so, and not whatever answered in its place.
func byStatus(status int, fromAPNs bool) verdict {
	v := verdict{reason: "http_" + strconv.Itoa(status)}
	switch {
	case status == http.StatusGone && fromAPNs:
		v.kind, v.doubtful = providers.KindRejected, true
	case !fromAPNs, status == http.StatusTooManyRequests, status < 400, status >= 500:
		v.kind = providers.KindRetry
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge:
		v.kind = providers.KindDropped
	default:
		v.kind = providers.KindMisconfigured
	}
	return v
}

// answer is what matters of an answer of APNs.
type answer struct {
	status     int
	reason     string
	timestamp  time.Time
	retryAfter time.Duration
}

// cause is whom a retry concerns. Too many provider tokens are a 429 as well, but no device's.
func (a answer) cause() providers.Cause {
	if a.status == http.StatusTooManyRequests && a.reason != apns2.ReasonTooManyProviderTokenUpdates {
		return providers.CauseDevice
	}
	return providers.CauseService
}

// outcome classifies the answer.
func (a answer) outcome() providers.Outcome {
	if a.status == http.StatusOK {
		return providers.Delivered()
	}
	v, documented := reasons[a.reason]
	if !documented {
		v = byStatus(a.status, a.reason != "")
	}
	o := providers.Outcome{Kind: v.kind, Reason: v.reason}
	switch v.kind {
	case providers.KindRejected:
		o.Since, o.Doubtful = a.timestamp, v.doubtful
	case providers.KindRetry, providers.KindMisconfigured:
		o.RetryAfter = a.retryAfter
		o.Cause = a.cause()
	}
	return o
}
