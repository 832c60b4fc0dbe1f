package fcmtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// maxBody is far more than a message of 4096 bytes needs.
const maxBody = 64 << 10

// serveSend answers one send.
func (f *Service) serveSend(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return // the client is gone
	}
	request, answer := f.checkSend(r, body)
	if answer == nil {
		answer = f.programmed(request)
	}
	request.Status = answer.Status
	if answer.Hang || answer.Drop {
		request.Status = 0
	}
	request.accepted = request.Status == http.StatusOK && !request.ValidateOnly
	f.record(request)
	f.respond(w, r, answer)
}

// programmed returns the answer to a request that breaks no rule.
func (f *Service) programmed(r Request) *providertest.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := cmp.Or(r.Token, r.FID)
	if len(f.answers[token]) == 0 {
		token = ""
	}
	answer, left := take(f.answers[token])
	f.answers[token] = left
	delay := answer.Delay
	switch {
	case usual(answer) && nobody(r.Token):
		answer = ErrorFor("INVALID_ARGUMENT")
	case usual(answer) && nobody(r.FID): // integration/messaging of https://github.com/firebase/firebase-admin-go
		answer = ErrorFor("UNREGISTERED")
	case usual(answer):
		answer = f.accept(r.ValidateOnly)
	}
	answer.Delay = delay
	return &answer
}

// nobody reports whether a registration token or an installation ID is one that no app ever gets.
func nobody(token string) bool { return token != "" && strings.Trim(token, "0") == "" }

// accept returns the answer to a message that is accepted, or that would be. The lock is held.
func (f *Service) accept(validateOnly bool) providertest.Answer {
	id := "fake_message_id" // Google's own ID for a message that is only validated
	if !validateOnly {
		f.accepted++
		id = "0:" + strconv.Itoa(f.accepted)
	}
	return jsonAnswer(http.StatusOK, map[string]string{"name": "projects/" + f.options.ProjectID + "/messages/" + id})
}

// checkSend reads a request. It also returns the answer for the first rule that the request breaks, or nil.
func (f *Service) checkSend(r *http.Request, body []byte) (Request, *providertest.Answer) {
	request := Request{
		Message: Message{Time: f.options.Now()}, Path: r.URL.RequestURI(), Header: r.Header.Clone(),
	}
	var refusal *providertest.Answer
	refuse := func(a providertest.Answer, format string, args ...any) {
		request.Violations = append(request.Violations, fmt.Sprintf(format, args...))
		if refusal == nil {
			refusal = &a
		}
	}

	project, ok := projectOf(r)
	if !ok {
		refuse(ErrorFor("NOT_FOUND"), "the request is %s %s, not POST /v1/projects/…/messages:send", r.Method, request.Path)
	}
	if !f.live(bearer(r)) {
		refuse(ErrorFor("UNAUTHENTICATED"), "Authorization is not Bearer with a valid access token")
	}
	if ok && project != f.options.ProjectID {
		refuse(Error(http.StatusForbidden, "PERMISSION_DENIED", "", "Permission 'cloudmessaging.messages.create' denied on resource "+
			"'//cloudresourcemanager.googleapis.com/projects/"+project+"' (or it may not exist)."), "the project is %s", project)
	}
	if message := contentViolation(r, body); message != "" {
		refuse(errorAnswer(http.StatusBadRequest, "INVALID_ARGUMENT", "", message, []violation{{Description: message}}), "%s", message)
		return request, refusal
	}

	c := new(check)
	asRequest(c, "", body)
	request.Token, request.FID, request.Data, request.Raw = c.token, c.fid, c.data, c.message
	request.ValidateOnly = c.validateOnly
	request.Violations = append(request.Violations, c.all()...)
	if refusal == nil {
		refusal = c.refusal()
	}
	return request, refusal
}

// projectOf returns the project that a send is for.
func projectOf(r *http.Request) (string, bool) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v1/projects/")
	project, isSend := strings.CutSuffix(rest, "/messages:send")
	return project, ok && isSend && project != "" && !strings.Contains(project, "/") &&
		r.Method == http.MethodPost && r.URL.RawQuery == ""
}

// bearer returns the access token of a request, RFC 6750 section 2.1.
func bearer(r *http.Request) string {
	if len(r.Header["Authorization"]) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// contentViolation returns why a body cannot be a message at all.
func contentViolation(r *http.Request, body []byte) string {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := parameters["charset"]
	switch {
	case err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8"):
		return "The content type is not application/json."
	case r.Header.Get("Content-Encoding") != "":
		return "The content is encoded."
	case len(body) > maxBody:
		return fmt.Sprintf("Request payload size exceeds the limit: %d bytes.", maxBody)
	case !utf8.Valid(body):
		return "Invalid JSON payload received. The text is not UTF-8."
	case !json.Valid(body):
		return "Invalid JSON payload received. Unexpected token."
	default:
		return ""
	}
}
