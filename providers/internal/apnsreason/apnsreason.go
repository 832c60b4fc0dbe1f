// Package apnsreason interprets APNs' reasons, whether they come from APNs or through FCM.
package apnsreason

import (
	"github.com/sideshow/apns2"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Verdict is what an answer from APNs means for a push.
type Verdict struct {
	Kind   providers.Kind
	Reason string
	// Doubtful means that the operator's wrong environment or topic could cause the same answer.
	Doubtful bool
}

// Verdicts are by reason: all that Apple documents,
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns. Only a dead token rejects. The
// operator must fix what is wrong with every push of the app; what is wrong with one push will not change.
var Verdicts = map[string]Verdict{
	// The token is dead: the device no longer has the app, or has a new token.
	apns2.ReasonUnregistered: {Kind: providers.KindRejected, Reason: "unregistered"},
	apns2.ReasonExpiredToken: {Kind: providers.KindRejected, Reason: "expired_token"},
	// The token appears to be dead, if environment and topic are right.
	apns2.ReasonBadDeviceToken:         {Kind: providers.KindRejected, Reason: "bad_device_token", Doubtful: true},
	apns2.ReasonDeviceTokenNotForTopic: {Kind: providers.KindRejected, Reason: "device_token_not_for_topic", Doubtful: true},

	// This push cannot be delivered.
	apns2.ReasonBadCollapseID:      {Kind: providers.KindDropped, Reason: "bad_collapse_id"},
	apns2.ReasonBadExpirationDate:  {Kind: providers.KindDropped, Reason: "bad_expiration_date"},
	apns2.ReasonBadMessageID:       {Kind: providers.KindDropped, Reason: "bad_message_id"},
	apns2.ReasonDuplicateHeaders:   {Kind: providers.KindDropped, Reason: "duplicate_headers"},
	apns2.ReasonMissingDeviceToken: {Kind: providers.KindDropped, Reason: "missing_device_token"},
	apns2.ReasonPayloadEmpty:       {Kind: providers.KindDropped, Reason: "payload_empty"},
	apns2.ReasonPayloadTooLarge:    {Kind: providers.KindDropped, Reason: "payload_too_large"},

	// The operator must fix a setting or a credential.
	apns2.ReasonBadPriority:               {Kind: providers.KindMisconfigured, Reason: "bad_priority"},
	apns2.ReasonBadTopic:                  {Kind: providers.KindMisconfigured, Reason: "bad_topic"},
	apns2.ReasonInvalidPushType:           {Kind: providers.KindMisconfigured, Reason: "invalid_push_type"},
	apns2.ReasonMissingTopic:              {Kind: providers.KindMisconfigured, Reason: "missing_topic"},
	apns2.ReasonTopicDisallowed:           {Kind: providers.KindMisconfigured, Reason: "topic_disallowed"},
	apns2.ReasonBadCertificate:            {Kind: providers.KindMisconfigured, Reason: "bad_certificate"},
	apns2.ReasonBadCertificateEnvironment: {Kind: providers.KindMisconfigured, Reason: "bad_certificate_environment"},
	apns2.ReasonExpiredProviderToken:      {Kind: providers.KindMisconfigured, Reason: "expired_provider_token"},
	apns2.ReasonForbidden:                 {Kind: providers.KindMisconfigured, Reason: "forbidden"},
	apns2.ReasonInvalidProviderToken:      {Kind: providers.KindMisconfigured, Reason: "invalid_provider_token"},
	apns2.ReasonMissingProviderToken:      {Kind: providers.KindMisconfigured, Reason: "missing_provider_token"},
	"UnrelatedKeyIdInToken":               {Kind: providers.KindMisconfigured, Reason: "unrelated_key_id_in_token"},
	// The page's spelling, and the one that APNs sends: https://github.com/swift-server-community/APNSwift/pull/229.
	"BadEnvironmentKeyIdInToken": {Kind: providers.KindMisconfigured, Reason: "bad_environment_key_id_in_token"},
	"BadEnvironmentKeyInToken":   {Kind: providers.KindMisconfigured, Reason: "bad_environment_key_id_in_token"},
	apns2.ReasonBadPath:          {Kind: providers.KindMisconfigured, Reason: "bad_path"},
	apns2.ReasonMethodNotAllowed: {Kind: providers.KindMisconfigured, Reason: "method_not_allowed"},

	// APNs may accept the push later.
	apns2.ReasonIdleTimeout:                 {Kind: providers.KindRetry, Reason: "idle_timeout"},
	apns2.ReasonTooManyProviderTokenUpdates: {Kind: providers.KindRetry, Reason: "too_many_provider_token_updates"},
	apns2.ReasonTooManyRequests:             {Kind: providers.KindRetry, Reason: "too_many_requests"},
	apns2.ReasonInternalServerError:         {Kind: providers.KindRetry, Reason: "internal_server_error"},
	apns2.ReasonServiceUnavailable:          {Kind: providers.KindRetry, Reason: "service_unavailable"},
	apns2.ReasonShutdown:                    {Kind: providers.KindRetry, Reason: "shutdown"},
}
