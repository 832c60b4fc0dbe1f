package fcm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

const benchmarkToken = "ya29.benchmark"

// BenchmarkPush compares a push with its minimum: a POST of the same bytes over HTTP/2.
func BenchmarkPush(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		p, push := benchmarkProvider(b, benchtest.Start(b)), alert()
		benchtest.Run(b, func() error {
			if o := p.Push(context.Background(), push); o.Kind != providers.KindDelivered {
				return errors.New(o.Reason)
			}
			return nil
		})
	})
	b.Run("raw", func(b *testing.B) {
		server := benchtest.Start(b)
		p, push := benchmarkProvider(b, server), alert()
		members, err := data(push.Notification, push.Device, p.template.room, nil)
		if err != nil {
			b.Fatal(err)
		}
		body := p.template.request(sending, push, members, time.Now())
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.CA.Pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		b.Cleanup(transport.CloseIdleConnections)
		url := server.URL + "/v1/projects/demo-project/messages:send"
		benchtest.Run(b, func() error { return post(transport, url, body) })
	})
}

func benchmarkProvider(b *testing.B, server *benchtest.Server) *Provider {
	b.Helper()
	return live(b, &Provider{
		Options:         network.Options{Endpoint: server.URL, TrustedCA: server.CA.File, Proxy: "none"},
		CredentialsFile: writeJSON(b, serviceAccount(b, server.URL+"/token")),
	})
}

func post(transport *http.Transport, url string, body []byte) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+benchmarkToken)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		return errors.New(resp.Status)
	}
	return nil
}
