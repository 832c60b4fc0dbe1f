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
	// Header has the answer's headers.
	Header http.Header
	// Body is the body of an answer other than 2xx if it has less than 4 KiB, and nil otherwise. It may repeat what was sent, so it must
	// not be shown.
	Body []byte

	secrets []string // the request's secrets, which must not be shown
	content string   // the request's body
}

// maxResponse is how much of an answer is read, so its connection can serve the next push.
const maxResponse = 4 << 10

// responseOf reads an answer. If the body is cut off and a word in it could decide, there is no answer. Without the word, a dead
// endpoint would only be suspected, and a message that should be kept would be dropped.
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

// secretsOf returns the parts of a request that a push server may repeat in its answer and that must not be shown.
func secretsOf(sent *http.Request) []string {
	secrets := []string{sent.URL.Path, sent.URL.EscapedPath(), sent.URL.RawQuery, sent.Header.Get("Authorization"), sent.Header.Get("Topic")}
	if query, err := url.QueryUnescape(sent.URL.RawQuery); err == nil {
		secrets = append(secrets, query)
	}
	return secrets
}
