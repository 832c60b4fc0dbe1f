package service

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

func TestAPostBringsTheWholeAnswerAndKeepsTheConnection(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string]int{"HTTP/1.1": http1, "HTTP/2": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, streams, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("X-Of", r.Header.Get("X-Mine"))
				w.WriteHeader(http.StatusConflict)
				_, _ = fmt.Fprint(w, r.Method, " ", r.URL.Path, " ", string(body), " ", r.Header.Get("User-Agent"), strings.Repeat("x", len(r.URL.Path)<<10))
			})
			c := newClient(t, s.URL, s.ca.File)
			for range 10 {
				a, err := c.Post(t.Context(), "/", http.Header{"x-mine": {"1"}}, []byte("b"))
				if err != nil {
					t.Fatal(err)
				}
				if want := "POST / b caddy-matrix-push" + strings.Repeat("x", 1<<10); a.Status != http.StatusConflict || string(a.Body) != want ||
					a.Header.Get("X-Of") != "1" {
					t.Errorf("got %d %v %.60q", a.Status, a.Header, a.Body)
				}
			}
			s.want(t, 1)
			if a, err := c.Post(t.Context(), "/"+strings.Repeat("l", 15), nil, nil); err != nil || a.Status != http.StatusConflict || a.Body != nil {
				t.Errorf("of an answer that is too large: %+v, %v", a, err)
			}
		})
	}
}

func TestHalfAnAnswerIsNone(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string]int{"HTTP/1.1": http1, "HTTP/2": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, streams, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				w.WriteHeader(http.StatusGone)
				_, _ = io.WriteString(w, "gone")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			a, err := newClient(t, s.URL, s.ca.File).Post(t.Context(), "/secret", nil, nil)
			if err == nil {
				t.Fatalf("got %+v", a)
			}
			if o := network.Failed(err); o.Kind != providers.KindRetry || o.Cause != providers.CauseNetwork || strings.Contains(o.Err.Error(), "secret") {
				t.Errorf("the outcome is %+v", o)
			}
		})
	}
}

func TestAStatusMeansWhatItMeansEverywhereAndRejectsNobody(t *testing.T) {
	t.Parallel()
	a := &Answer{Header: http.Header{"Retry-After": {"30"}}}
	for a.Status = range 1000 {
		want, reason := providers.KindRetry, "unexpected_answer"
		switch s := a.Status; {
		case s/100 == 2:
			want, reason = providers.KindDelivered, "delivered"
		case s == 401, s == 403:
			want, reason = providers.KindMisconfigured, "unauthorized"
		case s == 413:
			want, reason = providers.KindDropped, "too_large"
		case s == 400, s == 415, s == 422:
			want, reason = providers.KindDropped, "refused"
		case s == 429:
			reason = "rate_limited"
		case s >= 500:
			reason = "server_error"
		}
		o := a.Outcome()
		if o.Kind != want || o.Reason != reason {
			t.Errorf("%d: the outcome is %+v", a.Status, o)
		}
		if want == providers.KindRetry && (o.RetryAfter != 30*time.Second || o.Cause != providers.CauseService) {
			t.Errorf("%d: a retry after %s, by %v", a.Status, o.RetryAfter, o.Cause)
		}
	}
	if after := new(Answer).RetryAfter(); after != 0 {
		t.Errorf("without a header: %s", after)
	}
}
