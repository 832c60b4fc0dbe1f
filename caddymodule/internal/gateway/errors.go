package gateway

import (
	"fmt"
	"net/http"
)

// Error is an answer in the shape of https://spec.matrix.org/v1.15/client-server-api/#standard-error-response.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"errcode"`
	Message string `json:"error"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The catalogue: every way a request as a whole can fail. What concerns one device never does.

func errNotJSON() *Error {
	return &Error{http.StatusBadRequest, "M_NOT_JSON", "the body is not valid JSON"}
}

func errBadJSON(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, "M_BAD_JSON", fmt.Sprintf(format, args...)}
}

// ErrTooLarge is the answer to a body of more than limit bytes.
func ErrTooLarge(limit int64) *Error {
	return &Error{http.StatusRequestEntityTooLarge, "M_TOO_LARGE", fmt.Sprintf("the body has more than %d bytes", limit)}
}

// ErrIncomplete is the answer to a body that could not be read to its end.
func ErrIncomplete() *Error {
	return &Error{http.StatusBadRequest, "M_NOT_JSON", "the body ended early"}
}

// ErrUnrecognized is the answer to a path that is not the endpoint's (404), or a method that it does not know (405); see
// https://spec.matrix.org/v1.15/push-gateway-api/#unsupported-endpoints.
func ErrUnrecognized(status int) *Error {
	if status == http.StatusMethodNotAllowed {
		return &Error{status, "M_UNRECOGNIZED", "this endpoint does not know the method"}
	}
	return &Error{status, "M_UNRECOGNIZED", "there is no such endpoint"}
}

// ErrPlaintext is the answer to a request that came without TLS.
func ErrPlaintext() *Error {
	return &Error{http.StatusForbidden, "M_FORBIDDEN", "this gateway is reached over TLS only"}
}

// ErrStarting is the answer to a request that came before the gateway was ready for it.
func ErrStarting() *Error {
	return &Error{http.StatusServiceUnavailable, "M_UNKNOWN", "the gateway is starting; send the notification again later"}
}

func errUnavailable() *Error {
	return &Error{http.StatusServiceUnavailable, "M_UNKNOWN", "a notification could not be delivered yet; send it again later"}
}
