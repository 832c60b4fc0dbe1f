package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

func TestAServerWithoutHTTP2IsSpokenToInHTTP1(t *testing.T) {
	t.Parallel()
	s := newServer(t, http1, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
	})
	c := newClient(t, s.URL, s.ca.File)
	for range 20 {
		wantOK(t, c)
	}
	s.want(t, 1)
}

func TestAServerWithHTTP2IsSpokenToInHTTP2(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	wantOK(t, newClient(t, s.URL, s.ca.File))
}

func TestAServerWithoutHTTP2IsAnErrorWhereNothingElseWillDo(t *testing.T) {
	t.Parallel()
	s := newServer(t, http1, ok)
	settings, err := (&network.Options{Endpoint: s.URL, TrustedCA: s.ca.File, Proxy: "none"}).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	wantOK(t, newClient(t, s.URL, s.ca.File)) // the other client must not share its connections
	c, err := NewClient(Options{Settings: settings, Identity: t.Name(), HTTP2Only: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeClient(t, c) })
	if status, err := post(t.Context(), c); err == nil {
		t.Errorf("it answered %d", status)
	}
}

func TestAnHTTP1ConnectionHasOneRequestAtATime(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int64
	arrived, let := make(chan struct{}, 100), make(chan struct{})
	s := newServer(t, http1, func(http.ResponseWriter, *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
		}
		arrived <- struct{}{}
		<-let
	})
	c := newClient(t, s.URL, s.ca.File)
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() { wantOK(t, c) })
	}
	for range maxConnections {
		<-arrived
	}
	close(let)
	group.Wait()
	if n := most.Load(); n != maxConnections {
		t.Errorf("%d requests were under way on %d connections", n, s.connections.Load())
	}
	s.want(t, maxConnections)
}

// net/http then closes the connection, and no other request may get it.
func TestAnHTTP1RequestThatIsGivenUpCostsItsConnectionAndNoOtherRequest(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	arrived := make(chan struct{})
	s := newServer(t, http1, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // otherwise the server does not notice that the client is gone
		if asked.Add(1) == 2 {
			close(arrived)
			<-r.Context().Done()
		}
	})
	c := newClient(t, s.URL, s.ca.File)
	wantOK(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := post(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantOK(t, c)
	wantOK(t, c)
	s.want(t, 2)
}

func TestAnHTTP1ConnectionThatEndedIdleIsNotNoticed(t *testing.T) {
	t.Parallel()
	s := newServer(t, http1, ok)
	c := newClient(t, s.URL, s.ca.File)
	wantOK(t, c)
	endConnection(s, c)
	wantOK(t, c)
	s.want(t, 2)
}

func TestAnHTTP1AnswerThatIsNotReadCostsItsConnectionAndNoOtherRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t, http1, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 100_000)) })
	c := newClient(t, s.URL, s.ca.File)
	for range 2 * maxConnections {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL("/").String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	wantOK(t, c)
}

// The connection has answered before, so an HTTP/2 one would take both.
func TestARequestDoesNotWaitBehindAnotherOneOfAnHTTP1Connection(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	arrived, let := make(chan struct{}), make(chan struct{})
	s := newServer(t, http1, func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) == 2 {
			close(arrived)
			<-let
		}
	})
	c := newClient(t, s.URL, s.ca.File)
	wantOK(t, c)
	var group sync.WaitGroup
	group.Go(func() { wantOK(t, c) })
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if status, err := post(ctx, c); err != nil || status != http.StatusOK {
		t.Errorf("got %d, %v", status, err)
	}
	close(let)
	group.Wait()
	s.want(t, 2)
}
