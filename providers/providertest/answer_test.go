package providertest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestAnAnswerIsAServerThatGivesItToEverybody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answer providertest.Answer
		status int
		body   string
	}{
		{providertest.Answer{}, http.StatusCreated, ""},
		{providertest.Answer{Status: 503, Header: http.Header{"Retry-After": {"7"}}, Body: "later", Times: 1}, 503, "later"},
	} {
		server := providertest.NewTLSServer(t, test.answer)
		for range 2 {
			answer, err := client(server).Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			after := answer.Header.Get("Retry-After")
			if err != nil || answer.StatusCode != test.status || string(body) != test.body || after != test.answer.Header.Get("Retry-After") {
				t.Errorf("the answer is %s, %q, after %q, %v", answer.Status, body, after, err)
			}
		}
	}
}

func TestAnAnswerThatHangsOrDropsIsNoneAndEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	dropping := providertest.NewTLSServer(t, providertest.Answer{Drop: true})
	if answer, err := client(dropping).Get(dropping.URL); err == nil {
		t.Errorf("the answer is %s", answer.Status)
	}
	hanging, over := make(chan struct{}), make(chan struct{})
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(hanging)
		defer close(over)
		providertest.Answer{Hang: true}.ServeHTTP(w, r)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hanging
		cancel()
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := client(server).Do(r); !errors.Is(err, context.Canceled) {
		t.Errorf("the answer is %v, %v", answer, err)
	}
	<-over
}
