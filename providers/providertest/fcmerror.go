package providertest

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// fcmStatus is an error, https://cloud.google.com/apis/design/errors#http_mapping.
type fcmStatus struct {
	Code    int         `json:"code"`
	Message string      `json:"message"`
	Status  string      `json:"status"`
	Details []fcmDetail `json:"details,omitempty"`
}

// fcmViolation is one of the fieldViolations of google.rpc.BadRequest.
type fcmViolation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

// fcmDetail is one of an error's details: a google.firebase.fcm.v1.FcmError or ApnsError, or a google.rpc.BadRequest.
type fcmDetail struct {
	Type            string         `json:"@type"`
	ErrorCode       string         `json:"errorCode,omitempty"`
	StatusCode      int            `json:"statusCode,omitempty"`
	Reason          string         `json:"reason,omitempty"`
	FieldViolations []fcmViolation `json:"fieldViolations,omitempty"`
}

// FCMError is an answer with an error body as Google's API gives it,
// https://firebase.google.com/docs/cloud-messaging/error-codes: status is the HTTP status, grpcStatus the error's status, such as
// NOT_FOUND, and errorCode that of the FcmError among its details, such as UNREGISTERED; without one there is no such detail. Each of
// the fields, such as message.token, is listed in a BadRequest among the details.
//
// [FCMErrorFor] makes the errors that Google is known to give.
func FCMError(status int, grpcStatus, errorCode, message string, fields ...string) Answer {
	var violations []fcmViolation
	for _, field := range fields {
		violations = append(violations, fcmViolation{field, message})
	}
	return fcmAnswer(status, grpcStatus, errorCode, message, violations)
}

// FCMAppleError is an answer as of [FCMError] with an ApnsError among its details, which repeats what Apple's service answered: its HTTP
// status and its reason, such as 410 and Unregistered.
func FCMAppleError(status int, grpcStatus, errorCode, message string, appleStatus int, reason string) Answer {
	return fcmAnswer(status, grpcStatus, errorCode, message, nil, fcmDetail{
		Type: "type.googleapis.com/google.firebase.fcm.v1.ApnsError", StatusCode: appleStatus, Reason: reason,
	})
}

func fcmAnswer(status int, grpcStatus, errorCode, message string, violations []fcmViolation, more ...fcmDetail) Answer {
	var details []fcmDetail
	if errorCode != "" {
		details = append(details, fcmDetail{Type: "type.googleapis.com/google.firebase.fcm.v1.FcmError", ErrorCode: errorCode})
	}
	if len(violations) > 0 {
		details = append(details, fcmDetail{Type: "type.googleapis.com/google.rpc.BadRequest", FieldViolations: violations})
	}
	details = append(details, more...)
	a := fcmJSON(status, map[string]any{"error": fcmStatus{status, message, grpcStatus, details}})
	if status == http.StatusUnauthorized {
		a.Header.Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	}
	return a
}

// fcmJSON is an answer in the way Google writes JSON.
func fcmJSON(status int, value any) Answer {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		panic(err) // the values are this package's
	}
	return Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}},
		Body:   body.String(),
	}
}

// fcmInvalidToken is how Google begins to say that a registration token is malformed.
const fcmInvalidToken = "The registration token is not a valid FCM registration token"

// FCMErrorFor is Google's answer for an error, to be given as it is or with a header such as Retry-After. The codes of FCM's own are
//
//	UNREGISTERED            404  the app is gone from the device
//	INVALID_ARGUMENT        400  the registration token is malformed, with message.token among the details
//	SENDER_ID_MISMATCH      403  the registration token is another project's
//	QUOTA_EXCEEDED          429  too many messages for the device
//	UNAVAILABLE             503
//	INTERNAL                500
//	THIRD_PARTY_AUTH_ERROR  401  the project's credentials for APNs or Web Push are wrong
//
// and those of every Google API, which have no FcmError among their details:
//
//	NOT_FOUND               404  there is no such project
//	UNAUTHENTICATED         401  the access token is not valid
//	PERMISSION_DENIED       403  the service account may not send for the project
//	RESOURCE_EXHAUSTED      429  too many requests for the project
//
// It panics for any other. Codes: https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode. Not every invalid registration
// token is answered with details that name it: make the shorter form with [FCMError].
func FCMErrorFor(code string) Answer {
	switch code {
	case "UNREGISTERED":
		return FCMError(404, "NOT_FOUND", code, "Requested entity was not found.")
	case "INVALID_ARGUMENT":
		return FCMError(400, code, code, fcmInvalidToken, "message.token")
	case "SENDER_ID_MISMATCH":
		return FCMError(403, "PERMISSION_DENIED", code, "SenderId mismatch")
	case "QUOTA_EXCEEDED":
		return FCMError(429, "RESOURCE_EXHAUSTED", code, "Resource has been exhausted (e.g. check quota).")
	case "UNAVAILABLE":
		return FCMError(503, code, code, "The service is currently unavailable.")
	case "INTERNAL":
		return FCMError(500, code, code, "Internal error encountered.")
	case "THIRD_PARTY_AUTH_ERROR":
		return FCMError(401, "UNAUTHENTICATED", code, "Auth error from APNS or Web Push Service")
	case "NOT_FOUND":
		return FCMError(404, code, "", "Requested entity was not found.")
	case "UNAUTHENTICATED":
		return FCMError(401, code, "", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "+
			"or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.")
	case "PERMISSION_DENIED":
		return FCMError(403, code, "", "The caller does not have permission")
	case "RESOURCE_EXHAUSTED":
		return FCMError(429, code, "", "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of "+
			"service 'fcm.googleapis.com' for consumer 'project_number:1'.")
	default:
		panic("providertest: there is no FCM error " + code)
	}
}
