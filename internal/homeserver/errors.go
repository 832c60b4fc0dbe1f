package homeserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Error is why a request failed, in one sentence. It contains no token.
type Error struct {
	// Status is the answer's HTTP status, or 0 if there was no answer or no JSON. Code is Matrix's error code, such as M_NOT_FOUND.
	Status int
	Code   string
	text   string
	// silent means that there was no answer at all.
	silent bool
}

func (e *Error) Error() string { return e.text }

// NotFound reports whether the homeserver answered that something does not exist.
func NotFound(err error) bool {
	failed := (*Error)(nil)
	return errors.As(err, &failed) && failed.Status == http.StatusNotFound
}

// Refused reports whether the homeserver answered that it does not do this for the user, or at all.
func Refused(err error) bool {
	failed := (*Error)(nil)
	return errors.As(err, &failed) &&
		slices.Contains([]int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented}, failed.Status)
}

// reason removes the request's URL from an error.
func reason(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// noAnswer returns why there is no answer.
func (c *Client) noAnswer(r request, err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{silent: true, text: fmt.Sprintf("%s did not answer %s within %s", r.base, r.String(), c.timeout)}
	}
	return &Error{silent: true, text: c.clean(fmt.Sprintf("the homeserver at %s cannot be reached: %v", r.base, reason(err)))}
}

// judge returns an error for every answer but JSON with status 200.
func (c *Client) judge(r request, response *http.Response, body []byte) error {
	if response.StatusCode/100 == 3 {
		to := "elsewhere"
		if location, err := response.Location(); err == nil {
			to = "to " + (&url.URL{Scheme: location.Scheme, Host: location.Host}).String()
		}
		return &Error{text: c.clean(fmt.Sprintf("%s redirects %s %s: write the homeserver's own address", r.base, r.String(), to))}
	}
	var failed struct {
		Code    string `json:"errcode"`
		Text    string `json:"error"`
		Soft    bool   `json:"soft_logout"`
		RetryMS int64  `json:"retry_after_ms"`
	}
	isJSON := json.Valid(body)
	if isJSON {
		_ = json.Unmarshal(body, &failed)
	}
	e := &Error{Status: response.StatusCode, Code: failed.Code}
	switch {
	case !isJSON, response.StatusCode != http.StatusOK && failed.Code == "":
		e.Status = 0
		e.text = fmt.Sprintf("%s is not a homeserver: it answers %s with status %d and %s", r.base, r.String(), response.StatusCode, form(body, isJSON))
	case response.StatusCode == http.StatusOK:
		return nil
	case response.StatusCode == http.StatusUnauthorized && failed.Soft:
		e.text = "the access token has expired: open the app, so it gets a new one, or write the token of another session"
	case response.StatusCode == http.StatusUnauthorized:
		e.text = fmt.Sprintf("the access token is not valid at %s (%s): write the token of a session that is logged in there", r.base, failed.Code)
	case response.StatusCode == http.StatusTooManyRequests:
		e.text = fmt.Sprintf("%s limits this account's requests (%s): try again in %d s", r.base, failed.Code, max(1, failed.RetryMS/1000))
	default:
		e.text = fmt.Sprintf("%s refuses %s: %s (%s)", r.base, r.String(), failed.Text, failed.Code)
	}
	e.text = c.clean(e.text)
	return e
}

// form describes a body that is not a homeserver's.
func form(body []byte, isJSON bool) string {
	switch {
	case isJSON:
		return "JSON without an errcode"
	case len(body) == 0:
		return "an empty body"
	case bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")):
		return "HTML"
	default:
		return "a body that is not JSON"
	}
}

// maxText bounds an error, because parts of it come from the server.
const maxText = 400

// clean removes the token and control characters from a text that a server may have written.
func (c *Client) clean(text string) string {
	text = strings.ReplaceAll(text, c.token, "[token]")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "…"
	}
	return text
}
