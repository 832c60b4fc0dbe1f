package fcmtest

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// errorStatus is an error, https://cloud.google.com/apis/design/errors#http_mapping.
type errorStatus struct {
	Code    int      `json:"code"`
	Message string   `json:"message"`
	Status  string   `json:"status"`
	Details []detail `json:"details,omitempty"`
}

// violation is one of the fieldViolations of google.rpc.BadRequest.
type violation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

// detail is one of an error's details: a google.firebase.fcm.v1.FcmError or ApnsError, or a google.rpc.BadRequest.
type detail struct {
	Type            string      `json:"@type"`
	ErrorCode       string      `json:"errorCode,omitempty"`
	StatusCode      int         `json:"statusCode,omitempty"`
	Reason          string      `json:"reason,omitempty"`
	FieldViolations []violation `json:"fieldViolations,omitempty"`
}

// Error returns an answer with an error body like that of Google's API,
// https://firebase.google.com/docs/cloud-messaging/error-codes: status is the HTTP status, grpcStatus the error's status, such as
// NOT_FOUND, and errorCode that of the FcmError among its details, such as UNREGISTERED; if it is empty, there is no such detail. Each of
// the fields, such as message.token, is listed in a BadRequest among the details.
//
// [ErrorFor] returns the errors that Google is known to give.
func Error(status int, grpcStatus, errorCode, message string, fields ...string) providertest.Answer {
	var violations []violation
	for _, field := range fields {
		violations = append(violations, violation{field, message})
	}
	return errorAnswer(status, grpcStatus, errorCode, message, violations)
}

// AppleError returns an answer like [Error]'s with an ApnsError among its details. That repeats the answer of Apple's service: its HTTP
// status and its reason, such as 410 and Unregistered.
func AppleError(status int, grpcStatus, errorCode, message string, appleStatus int, reason string) providertest.Answer {
	return errorAnswer(status, grpcStatus, errorCode, message, nil, detail{
		Type: "type.googleapis.com/google.firebase.fcm.v1.ApnsError", StatusCode: appleStatus, Reason: reason,
	})
}

func errorAnswer(status int, grpcStatus, errorCode, message string, violations []violation, more ...detail) providertest.Answer {
	var details []detail
	if errorCode != "" {
		details = append(details, detail{Type: "type.googleapis.com/google.firebase.fcm.v1.FcmError", ErrorCode: errorCode})
	}
	if len(violations) > 0 {
		details = append(details, detail{Type: "type.googleapis.com/google.rpc.BadRequest", FieldViolations: violations})
	}
	details = append(details, more...)
	a := jsonAnswer(status, map[string]any{"error": errorStatus{status, message, grpcStatus, details}})
	if status == http.StatusUnauthorized {
		a.Header.Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	}
	return a
}

// jsonAnswer returns an answer with JSON as Google formats it.
func jsonAnswer(status int, value any) providertest.Answer {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		panic(err) // all values come from this package
	}
	return providertest.Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}},
		Body:   body.String(),
	}
}

// invalidToken is the beginning of Google's message for a malformed registration token.
const invalidToken = "The registration token is not a valid FCM registration token"

// ErrorFor returns Google's answer for an error. A test may add a header, such as Retry-After. FCM's own codes are
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
// It panics for any other code. Codes: https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode. Google's answer to an invalid
// registration token does not always have details that name it: make the shorter form with [Error].
func ErrorFor(code string) providertest.Answer {
	switch code {
	case "UNREGISTERED":
		return Error(404, "NOT_FOUND", code, "Requested entity was not found.")
	case "INVALID_ARGUMENT":
		return Error(400, code, code, invalidToken, "message.token")
	case "SENDER_ID_MISMATCH":
		return Error(403, "PERMISSION_DENIED", code, "SenderId mismatch")
	case "QUOTA_EXCEEDED":
		return Error(429, "RESOURCE_EXHAUSTED", code, "Resource has been exhausted (e.g. check quota).")
	case "UNAVAILABLE":
		return Error(503, code, code, "The service is currently unavailable.")
	case "INTERNAL":
		return Error(500, code, code, "Internal error encountered.")
	case "THIRD_PARTY_AUTH_ERROR":
		return Error(401, "UNAUTHENTICATED", code, "Auth error from APNS or Web Push Service")
	case "NOT_FOUND":
		return Error(404, code, "", "Requested entity was not found.")
	case "UNAUTHENTICATED":
		return Error(401, code, "", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "+
			"or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.")
	case "PERMISSION_DENIED":
		return Error(403, code, "", "The caller does not have permission")
	case "RESOURCE_EXHAUSTED":
		return Error(429, code, "", "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of "+
			"service 'fcm.googleapis.com' for consumer 'project_number:1'.")
	default:
		panic("fcmtest: unknown error " + code)
	}
}
