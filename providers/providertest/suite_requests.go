package providertest

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// maxRequest is how much of a request's body the suite looks at.
const maxRequest = 8 << 20

// recorder keeps the requests that pass it.
type recorder struct {
	mu       sync.Mutex
	requests []request
}

// request is one that the provider made.
type request struct {
	*http.Request
	// raw is the body as it came.
	raw []byte
}

// before records what goes to a handler.
func (r *recorder) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, _ := io.ReadAll(io.LimitReader(q.Body, maxRequest))
		r.mu.Lock()
		r.requests = append(r.requests, request{q.Clone(q.Context()), raw}) // the trailer is there now
		r.mu.Unlock()
		q.Body = io.NopCloser(bytes.NewReader(raw))
		next.ServeHTTP(w, q)
	})
}

// take returns the requests since the last call.
func (r *recorder) take() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.requests
	r.requests = nil
	return taken
}

// startRecorded is start with a push service that takes every push. All are the requests that were made, and pushes are those of them that
// Suite.Wrap passed on.
func (s *Suite) startRecorded(t *testing.T) (b *bench, all, pushes *recorder) {
	t.Helper()
	all, pushes = new(recorder), new(recorder)
	answer := s.taken()
	handler := pushes.before(answers(answer.Status, answer.Header, answer.Body))
	outer := *s
	outer.Wrap = func(next http.Handler) http.Handler {
		if s.Wrap != nil {
			next = s.Wrap(next)
		}
		return all.before(next)
	}
	return outer.start(t, handler), all, pushes
}

// body is the request's as the device reads it: unpacked and decrypted. It fails the test if that is not text.
func (s *Suite) body(t *testing.T, r request) []byte {
	t.Helper()
	raw := unpacked(r)
	if s.Decrypt != nil {
		opened, err := s.Decrypt(raw)
		if err == nil {
			return opened
		}
		if !utf8.Valid(raw) {
			t.Errorf("Suite.Decrypt fails for the body of a %s: %v", r.Method, err)
		}
		return raw
	}
	if !utf8.Valid(raw) {
		t.Errorf("the body of a %s is not text, so that nobody sees what is in it: let Suite.Decrypt return what the device reads", r.Method)
	}
	return raw
}

// unpacked is the body without the content coding that HTTP has for any body.
func unpacked(r request) []byte {
	var plain io.Reader
	var err error
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "gzip":
		plain, err = gzip.NewReader(bytes.NewReader(r.raw))
	case "deflate":
		plain, err = zlib.NewReader(bytes.NewReader(r.raw))
	default:
		return r.raw
	}
	if err != nil {
		return r.raw
	}
	all, err := io.ReadAll(io.LimitReader(plain, maxRequest))
	if err != nil {
		return r.raw
	}
	return all
}
