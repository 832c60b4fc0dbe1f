package gateway

import (
	"fmt"
	"net/http"
	"time"
)

// Error is an answer in the shape of https://spec.matrix.org/v1.15/client-server-api/#standard-error-response.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"errcode"`
	Message string `json:"error"`

	// Reason is why the request as a whole is refused, in a word for the metrics; empty if that is a matter of its devices.
	Reason string `json:"-"`
	// RetryAfter is when the request may be sent again; 0 if that would not help, or is up to the devices.
	RetryAfter time.Duration `json:"-"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The catalogue: every way a request as a whole can fail. What concerns one device never does.

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

// ErrUnrecognized is the answer to a path that is not the endpoint's (404), or a method that it does not know (405); see
// https://spec.matrix.org/v1.15/push-gateway-api/#unsupported-endpoints.
func ErrUnrecognized(status int) *Error {
	if status == http.StatusMethodNotAllowed {
		return &Error{Status: status, Code: "M_UNRECOGNIZED", Message: "this endpoint does not know the method"}
	}
	return &Error{Status: status, Code: "M_UNRECOGNIZED", Message: "there is no such endpoint"}
}

// ErrInvalidParam is the answer to a query that cannot be used. The message names the parameter, and repeats nothing of it.
func ErrInvalidParam(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "M_INVALID_PARAM", Message: fmt.Sprintf(format, args...)}
}

// ErrNoKey is the answer to a client that asks for the application server key of an app_id for which there is none.
func ErrNoKey() *Error {
	return &Error{
		Status: http.StatusNotFound, Code: "M_NOT_FOUND", Message: "no app of this site has an application server key for this app_id",
	}
}

// ErrPlaintext is the answer to a request that came without TLS.
func ErrPlaintext() *Error {
	return &Error{
		Status: http.StatusForbidden, Code: "M_FORBIDDEN", Message: "this gateway is reached over TLS only", Reason: "plaintext",
	}
}

// ErrStarting is the answer to a request that came before the gateway was ready for it.
func ErrStarting() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "the gateway is starting; send the notification again later",
		Reason: "starting", RetryAfter: time.Second,
	}
}

// ReasonBusy is the reason of [ErrBusy].
const ReasonBusy = "busy"

// ErrBusy is the answer to a request while the others have so much in hand that there is no memory for it.
func ErrBusy() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "the gateway has too much in hand; send the notification again later",
		Reason: ReasonBusy, RetryAfter: 5 * time.Second,
	}
}

func errUnavailable() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "a notification could not be delivered yet; send it again later",
	}
}
