// Package posting makes the requests to push services.
package posting

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// New returns a POST request, as [http.NewRequestWithContext] does. That would parse the URL once more, for 1 % of a push's CPU time. The
// body can be sent again.
func New(ctx context.Context, to *url.URL, header http.Header, body []byte) *http.Request {
	r := (&http.Request{
		Method: http.MethodPost, URL: to, Host: strings.TrimSuffix(to.Host, ":"), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: http.NoBody,
	}).WithContext(ctx)
	if len(body) > 0 {
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	return r
}
