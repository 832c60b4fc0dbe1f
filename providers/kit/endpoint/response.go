package endpoint

import (
	"io"
	"net/http"
	"net/url"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/pushword"
)

// Response is a server's answer.
type Response struct {
	// Status is the HTTP status, such as 201.
	Status int
	// Header is the answer's.
	Header http.Header
	// Body is the body of an answer other than 2xx, if it has less than 4 KiB, and nil otherwise. It may repeat what was sent, so it must not
	// be shown.
	Body []byte

	secrets []string // what the request had that must not be shown
	content string   // the request's body
}

// maxResponse is how much of an answer is read, so that its connection can serve the next push.
const maxResponse = 4 << 10

// responseOf reads an answer. Half a body in which a word could decide is half an answer, and so none: without the word, an endpoint that
// is dead would be suspected, and a message that is to be kept would be dropped.
func responseOf(resp *http.Response, sent *http.Request, content []byte) (Response, error) {
	r := Response{Status: resp.StatusCode, Header: resp.Header}
	if r.Status >= 200 && r.Status < 300 {
		_, _ = io.CopyN(io.Discard, resp.Body, maxResponse)
		return r, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil && pushword.MayDecide(r.Status) {
		return Response{}, err
	}
	if err == nil && len(body) < maxResponse {
		r.Body = body
	}
	r.secrets, r.content = secretsOf(sent), string(content)
	return r, nil
}

// secretsOf are what a request has that a push server may repeat in its answer.
func secretsOf(sent *http.Request) []string {
	secrets := []string{sent.URL.Path, sent.URL.EscapedPath(), sent.URL.RawQuery, sent.Header.Get("Authorization"), sent.Header.Get("Topic")}
	if query, err := url.QueryUnescape(sent.URL.RawQuery); err == nil {
		secrets = append(secrets, query)
	}
	return secrets
}
