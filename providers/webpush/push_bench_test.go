package webpush

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestMain(m *testing.M) {
	benchtest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	os.Exit(m.Run())
}

// BenchmarkPush compares a push with a POST of as many bytes over HTTP/2: the difference is the payload, its encryption, and the signature
// for each origin and hour.
func BenchmarkPush(b *testing.B) {
	server := benchtest.Start(b)
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = server.URL + sub.Endpoint
	b.Run("ours", func(b *testing.B) {
		p, push := benchmarkProvider(b, server), pushOf(alert(), device(sub, ""))
		benchtest.Run(b, func() error {
			if o := p.Push(b.Context(), push); o.Kind != providers.KindDelivered {
				return errors.New(o.Reason)
			}
			return nil
		})
	})
	b.Run("raw", func(b *testing.B) {
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: server.CA.Pool()}}
		b.Cleanup(transport.CloseIdleConnections)
		body := formsOf(alert(), nil)[0]
		benchtest.Run(b, func() error { return post(b, transport, sub.Endpoint, body) })
	})
}

func benchmarkProvider(b *testing.B, server *benchtest.Server) *Provider {
	b.Helper()
	p := &Provider{Options: webpushmessage.Options{Options: messagetest.Options(server.CA.File), VapidSubject: "mailto:ops@example.org"}}
	if err := p.Provision(newContext(b)); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Cleanup() })
	if err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	return p
}

func post(b *testing.B, transport *http.Transport, url string, body []byte) error {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
