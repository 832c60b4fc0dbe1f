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
	// Hint is the log's advice to the operator.
	Hint string `json:"-"`
	// RetryAfter is when the request may be sent again; 0 if that would not help, or depends on the devices.
	RetryAfter time.Duration `json:"-"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Every way in which a whole request can fail. A problem with one device never fails the request.

func errNotJSON() *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "M_NOT_JSON", Message: "the body is not valid JSON", Reason: "not_json",
		Hint: "homeservers send JSON; if `from` is a homeserver, check whether a proxy changes the body",
	}
}

func errBadJSON(format string, args ...any) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "M_BAD_JSON", Message: fmt.Sprintf(format, args...), Reason: "bad_json",
		Hint: "`error` names the wrong field; if `from` is a homeserver, report the error to its developers",
	}
}

// ErrTooLarge is the answer to a body of more than limit bytes.
func ErrTooLarge(limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Code: "M_TOO_LARGE", Message: fmt.Sprintf("the body has more than %d bytes", limit),
		Reason: "too_large", Hint: "if `from` is a homeserver, raise max_body",
	}
}

// ErrIncomplete is the answer to a body that could not be read to its end.
func ErrIncomplete() *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "M_NOT_JSON", Message: "the body ended early", Reason: "incomplete",
		Hint: "the sender or a proxy stopped sending; if this repeats, check the network and the proxy's time limits",
	}
}

// ErrWrongPath is the answer to a request for a path that is not the endpoint's. This and [ErrWrongMethod] follow
// https://spec.matrix.org/v1.15/push-gateway-api/#unsupported-endpoints.
func ErrWrongPath() *Error {
	return &Error{
		Status: http.StatusNotFound, Code: "M_UNRECOGNIZED", Message: "there is no such endpoint", Reason: "wrong_path",
		Hint: "the path must be /_matrix/push/v1/notify; correct the URL in the client, or the path that the proxy sends",
	}
}

// ErrNoPath is the answer to a POST to `/`. Scanners send such requests too, so it has its own reason.
func ErrNoPath() *Error {
	err := ErrWrongPath()
	err.Reason = "no_path"
	err.Hint = "if `from` is a homeserver or a proxy, a client uses a URL without /_matrix/push/v1/notify, or the proxy removes the path"
	return err
}

// ErrWrongMethod is the answer to a method that the endpoint does not support.
func ErrWrongMethod() *Error {
	return &Error{
		Status: http.StatusMethodNotAllowed, Code: "M_UNRECOGNIZED", Message: "this endpoint does not support the method",
		Reason: "wrong_method",
	}
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

// ErrPlaintext is the answer to a request that arrived without TLS. The detail is what the sender must change, and the hint what the
// operator can do.
func ErrPlaintext(detail, hint string) *Error {
	return &Error{
		Status: http.StatusForbidden, Code: "M_FORBIDDEN", Message: "this gateway accepts requests over TLS only: " + detail,
		Reason: "plaintext", Hint: hint,
	}
}

// ErrStarting is the answer to a request that arrived before the gateway was ready.
func ErrStarting() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "the gateway is starting; send the notification again later",
		Reason: "starting", RetryAfter: time.Second,
		Hint: "homeservers send the request again; if this repeats, the log shows what delays the start",
	}
}

// ReasonBusy is the reason of [ErrBusy].
const ReasonBusy = "busy"

// ErrBusy is the answer to a request that there is no memory for, because of other requests.
func ErrBusy() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "the gateway is overloaded; send the notification again later",
		Reason: ReasonBusy, RetryAfter: 5 * time.Second,
		Hint: "homeservers retry them; check the access log for large requests, and whether a push service is slow",
	}
}

func errUnavailable() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "M_UNKNOWN", Message: "a notification could not be delivered yet; send it again later",
	}
}
