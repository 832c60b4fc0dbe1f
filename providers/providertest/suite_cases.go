package providertest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func (s Suite) testVerdicts(t *testing.T) {
	t.Parallel()
	for _, v := range s.Verdicts {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			o := s.start(t, answers(v.Status, v.Header, v.Body)).do(t.Context(), t)
			wantKind(t, o, v.Kind)
			if o.Cause != v.Cause {
				t.Errorf("the cause is %d, want %d", o.Cause, v.Cause)
			}
			if o.RetryAfter != v.RetryAfter {
				t.Errorf("RetryAfter is %s, want %s", o.RetryAfter, v.RetryAfter)
			}
			if !o.Since.Equal(v.Since) {
				t.Errorf("Since is %s, want %s", o.Since, v.Since)
			}
			if o.Doubtful != v.Doubtful {
				t.Errorf("Doubtful is %v, want %v", o.Doubtful, v.Doubtful)
			}
			if v.Reason != "" && o.Reason != v.Reason {
				t.Errorf("the reason is %s, want %s", o.Reason, v.Reason)
			}
			if o.Unusable {
				t.Error("the outcome is Unusable, although the push service was asked")
			}
		})
	}
}

func (s Suite) testConcurrency(t *testing.T) {
	t.Parallel()
	const pushes = 200
	b := s.start(t, answers(http.StatusServiceUnavailable, nil, "overloaded"))
	before := copyOf(b.push)
	outcomes := make(chan providers.Outcome, pushes)
	var group sync.WaitGroup
	for range pushes {
		group.Go(func() { outcomes <- b.do(t.Context(), t) })
	}
	if p, ok := b.provider.(providers.Concurrency); ok {
		group.Go(func() {
			if n := p.Concurrency(); n < 0 {
				t.Errorf("Concurrency is %d, want 0 if it is not known", n)
			}
		})
	}
	group.Wait()
	if len(outcomes) != pushes {
		t.Errorf("there are %d outcomes for %d pushes", len(outcomes), pushes)
	}
	for range len(outcomes) {
		o := <-outcomes
		wantKind(t, o, providers.KindRetry)
		if o.Cause != providers.CauseService {
			t.Errorf("the cause of the outcome %s is %d, want that of the service", o.Reason, o.Cause)
		}
	}
	if !samePush(before, b.push) {
		t.Error("the push was modified")
	}
}

func (s Suite) testCancellation(t *testing.T) {
	t.Parallel()
	const thinks = "while the push service thinks"
	hangs := map[string]func(http.ResponseWriter){
		thinks: func(http.ResponseWriter) {},
		"while the push service answers": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "over")
			_ = http.NewResponseController(w).Flush()
		},
	}
	const takes = "while the push service says that it took the push"
	if i := slices.IndexFunc(s.Verdicts, func(v Verdict) bool { return v.Kind == providers.KindDelivered }); i >= 0 {
		hangs[takes] = func(w http.ResponseWriter) {
			w.WriteHeader(s.Verdicts[i].Status)
			_ = http.NewResponseController(w).Flush()
		}
	}
	for name, answer := range hangs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			b := s.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // otherwise HTTP/1.1 does not notice that the client is gone
				answer(w)
				cancel()
				select {
				case <-r.Context().Done():
				case <-t.Context().Done(): // the provider kept the connection
				}
			}))
			switch o, ok := b.within(ctx, t, prompt); {
			case ok && name == thinks:
				wantUnreachable(t, o)
			case ok && name == takes && o.Kind == providers.KindDelivered: // the answer came before the end of the context
			case ok:
				wantKind(t, o, providers.KindRetry)
			}
		})
	}
	t.Run("before it began", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b := s.start(t, answers(http.StatusGone, nil, ""))
		if o, ok := b.within(ctx, t, prompt); ok {
			wantKind(t, o, providers.KindRetry)
		}
	})
}

func (s Suite) testNetwork(t *testing.T) {
	t.Parallel()
	t.Run("when the connection is refused", func(t *testing.T) {
		t.Parallel()
		b := s.start(t, answers(http.StatusGone, nil, ""))
		b.server.Close()
		wantUnreachable(t, b.do(t.Context(), t))
	})
	t.Run("when the connection is dropped", func(t *testing.T) {
		t.Parallel()
		b := s.start(t, Answer{Drop: true})
		wantUnreachable(t, b.do(t.Context(), t))
	})
	t.Run("when an answer is cut off", func(t *testing.T) {
		t.Parallel()
		b := s.start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "over")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}))
		wantKind(t, b.do(t.Context(), t), providers.KindRetry)
	})
	if s.SkipTLS {
		return
	}
	t.Run("when the certificate is of an unknown authority", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Bool
		b := s.startWith(t, NewCA(t), NewCA(t).File, true, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			asked.Store(true)
		}))
		wantUnreachable(t, b.do(t.Context(), t))
		if asked.Load() {
			t.Error("the push was sent")
		}
	})
}

// testSecrets makes a push service echo the secrets in each answer that it may give. An error or a word taken from it must not show
// them.
func (s Suite) testSecrets(t *testing.T) {
	t.Parallel()
	echo := strings.Join(s.Secrets, " ")
	object, err := json.Marshal(map[string]any{
		"reason": echo,
		"error":  map[string]any{"code": 400, "status": echo, "message": echo},
	})
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{
		"Retry-After": {oneLine(echo)}, "Location": {"/" + oneLine(echo)}, "Www-Authenticate": {oneLine(echo)},
	}
	for _, status := range []int{200, 400, 401, 403, 404, 405, 410, 413, 429, 500, 503} {
		for name, body := range map[string]string{"as text": echo, "as JSON": string(object)} {
			t.Run(http.StatusText(status)+" "+name, func(t *testing.T) {
				t.Parallel()
				s.start(t, answers(status, header, body)).do(t.Context(), t)
			})
		}
	}
}

// oneLine returns a text that can be in a header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
}

func (s Suite) testBodies(t *testing.T) {
	t.Parallel()
	t.Run("20 failing pushes share one connection", func(t *testing.T) {
		t.Parallel()
		ca := NewCA(t)
		b := s.startWith(t, ca, ca.File, s.HTTP2Only, answers(http.StatusServiceUnavailable, nil, strings.Repeat("overload", 256)))
		for range 20 {
			wantKind(t, b.do(t.Context(), t), providers.KindRetry)
		}
		if n := b.server.Connections(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
	t.Run("an answer without an end is given up", func(t *testing.T) {
		t.Parallel()
		b := s.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			chunk := make([]byte, 16<<10)
			for r.Context().Err() == nil && t.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if o, ok := b.within(ctx, t, prompt); ok {
			wantKind(t, o, providers.KindRetry)
		}
	})
}

func (s Suite) testRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			var followed atomic.Bool
			b := s.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					followed.Store(true)
				}
				http.Redirect(w, r, "/elsewhere", status)
			}))
			if o := b.do(t.Context(), t); o.Kind == providers.KindDelivered || o.Kind == providers.KindRejected {
				t.Errorf("the outcome is %s", o.Kind)
			}
			if followed.Load() {
				t.Error("the redirect was followed")
			}
		})
	}
}
