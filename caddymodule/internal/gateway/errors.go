package gateway

import (
	"fmt"
	"net/http"
	"time"
)

// Error is an answer in the form of https://spec.matrix.org/v1.15/client-server-api/#standard-error-response.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"errcode"`
	Message string `json:"error"`

	// Reason is the metrics' word for why the whole request was refused; empty if the cause is one of its devices.
	Reason string `json:"-"`
	// RetryAfter is when the request may be sent again; 0 if that would not help, or depends on the devices.
	RetryAfter time.Duration `json:"-"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Every way in which a whole request can fail. A problem with one device never fails the request.

func errNotJSON() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "M_NOT_JSON", Message: "the body is not valid JSON", Reason: "not_json"}
}

func errBadJSON(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "M_BAD_JSON", Message: fmt.Sprintf(format, args...), Reason: "bad_json"}
}

// ErrTooLarge is the answer to a body of more than limit bytes.
func ErrTooLarge(limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Code: "M_TOO_LARGE", Message: fmt.Sprintf("the body has more than %d bytes", limit),
		Reason: "too_large",
	}
}

// ErrIncomplete is the answer to a body that could not be read to its end.
func ErrIncomplete() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "M_NOT_JSON", Message: "the body ended early", Reason: "incomplete"}
}

// ErrUnrecognized is the answer to an unknown path (404) or method (405); see
// https://spec.matrix.org/v1.15/push-gateway-api/#unsupported-endpoints.
func ErrUnrecognized(status int) *Error {
	if status == http.StatusMethodNotAllowed {
		return &Error{Status: status, Code: "M_UNRECOGNIZED", Message: "this endpoint does not support the method"}
	}
	return &Error{Status: status, Code: "M_UNRECOGNIZED", Message: "there is no such endpoint"}
}

// ErrInvalidParam is the answer to an invalid query. The message names the parameter, and does not repeat its value.
func ErrInvalidParam(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "M_INVALID_PARAM", Message: fmt.Sprintf(format, args...)}
}

// ErrNoKey is the answer to a client that asks for the application server key of an app_id that has no such key.
func ErrNoKey() *Error {
	return &Error{
		Status: http.StatusNotFound, Code: "M_NOT_FOUND", Message: "no app of this site has an application server key for this app_id",
	}
}

// ErrPlaintext is the answer to a request that arrived without TLS.
func ErrPlaintext() *Error {
	return &Error{
		Status: http.StatusForbidden, Code: "M_FORBIDDEN", Message: "this gateway accepts requests over TLS only", Reason: "plaintext",
	}
}

// ErrStarting is the answer to a request that arrived before the gateway was ready.
func ErrStarting() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "the gateway is starting; send the notification again later",
		Reason: "starting", RetryAfter: time.Second,
	}
}

// ReasonBusy is the reason of [ErrBusy].
const ReasonBusy = "busy"

// ErrBusy is the answer to a request that there is no memory for, because of other requests.
func ErrBusy() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "the gateway is overloaded; send the notification again later",
		Reason: ReasonBusy, RetryAfter: 5 * time.Second,
	}
}

func errUnavailable() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "a notification could not be delivered yet; send it again later",
	}
}
