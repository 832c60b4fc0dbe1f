package apns

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

func TestMain(m *testing.M) {
	benchtest.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	os.Exit(m.Run())
}

var errNotDelivered = errors.New("not delivered")

// BenchmarkPush compares a push with a POST of the same request over the same connections, and with apns2.
func BenchmarkPush(b *testing.B) {
	server := benchtest.Start(b)
	key, p8 := apnstest.NewKey(b)
	keyFile := b.TempDir() + "/key.p8"
	if err := os.WriteFile(keyFile, p8, 0o600); err != nil {
		b.Fatal(err)
	}
	p := &Provider{
		Options: network.Options{Endpoint: server.URL, TrustedCA: server.CA.File, Proxy: "none"},
		Topic:   bundle, KeyFile: keyFile, KeyID: keyID, TeamID: teamID,
	}
	if err := p.Provision(messagetest.NewContext(b)); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Cleanup() })
	push := alert()

	b.Run("ours", func(b *testing.B) {
		benchtest.Run(b, func() error {
			if o := p.Push(b.Context(), push); o.Kind != providers.KindDelivered {
				return errNotDelivered
			}
			return nil
		})
	})
	b.Run("raw", func(b *testing.B) {
		m, err := build(push.Notification, push.Device, options{}, 4096)
		if err != nil {
			b.Fatal(err)
		}
		bearer, err := p.credential.bearer()
		if err != nil {
			b.Fatal(err)
		}
		header := p.header(push, m)
		header["Authorization"] = []string{"bearer " + bearer}
		benchtest.Run(b, func() error {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/3/device/"+device, bytes.NewReader(m.payload))
			if err != nil {
				return err
			}
			req.Header = header
			return post(p.client.RoundTrip(req))
		})
	})
	b.Run("apns2", func(b *testing.B) {
		client := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: keyID, TeamID: teamID}).Production()
		client.Host = server.URL
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: server.CA.Pool()}}
		client.HTTPClient = &http.Client{Transport: transport}
		b.Cleanup(transport.CloseIdleConnections)
		benchtest.Run(b, func() error {
			var data struct {
				Default map[string]any `json:"default_payload"`
			}
			if err := json.Unmarshal(push.Device.Data, &data); err != nil {
				return err
			}
			data.Default["event_id"], data.Default["room_id"] = push.Notification.EventID, push.Notification.RoomID
			response, err := client.PushWithContext(b.Context(), &apns2.Notification{
				ApnsID: push.ID, DeviceToken: device, Topic: bundle, Priority: apns2.PriorityHigh, PushType: apns2.PushTypeAlert,
				Expiration: time.Now().Add(time.Hour), Payload: data.Default,
			})
			if err == nil && !response.Sent() {
				err = errNotDelivered
			}
			return err
		})
	})
}

// post ends a raw request.
func post(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
