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

// maxRequest is how much of a request's body the suite reads.
const maxRequest = 8 << 20

// recorder records the requests that pass it.
type recorder struct {
	mu       sync.Mutex
	requests []request
}

// request is a request that the provider made.
type request struct {
	*http.Request
	// raw is the body as it was received.
	raw []byte
}

// before returns a handler that records requests and passes them on to next.
func (r *recorder) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, _ := io.ReadAll(io.LimitReader(q.Body, maxRequest))
		r.mu.Lock()
		r.requests = append(r.requests, request{q.Clone(q.Context()), raw}) // the trailer has now arrived
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

// startRecorded is start with a push service that accepts every push. all records the requests that were made, and pushes those of them
// that Suite.Wrap passed on.
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

// body returns the request's body as the device reads it: decompressed and decrypted. It fails the test if that is not text.
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
		t.Errorf("the body of a %s is not text, so it cannot be checked: set Suite.Decrypt, which returns what the device reads", r.Method)
	}
	return raw
}

// unpacked returns the body without its HTTP content coding.
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
