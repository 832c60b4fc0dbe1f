package vapid_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/vapid"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// BenchmarkPush measures a push without the network: encrypting it, and identifying the gateway.
func BenchmarkPush(b *testing.B) {
	service := providertest.NewPushService(providertest.PushServiceOptions{Origin: "https://push.example"})
	sub := service.Subscribe()
	message := bytes.Repeat([]byte{'m'}, 300)
	b.Run("ours", func(b *testing.B) {
		key, err := vapid.Generate()
		if err != nil {
			b.Fatal(err)
		}
		signer, err := vapid.NewSigner(key, "mailto:ops@example.org")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := push(message, sub, signer); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("webpush-go", func(b *testing.B) {
		private, public, err := webpush.GenerateVAPIDKeys()
		if err != nil {
			b.Fatal(err)
		}
		options := &webpush.Options{HTTPClient: offline{}, Subscriber: "ops@example.org", VAPIDPrivateKey: private, VAPIDPublicKey: public}
		to := &webpush.Subscription{Endpoint: sub.Endpoint, Keys: webpush.Keys{P256dh: sub.P256dh, Auth: sub.Auth}}
		b.ReportAllocs()
		for b.Loop() {
			// The library appends to the slice, see TestTheCallersSliceIsNotWrittenTo in package ece.
			if _, err := webpush.SendNotification(message[:len(message):len(message)], to, options); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// push does the same as SendNotification.
func push(message []byte, sub providertest.Subscription, signer *vapid.Signer) error {
	keys, err := ece.ParseKeys(sub.P256dh, sub.Auth)
	if err != nil {
		return err
	}
	body, err := ece.Encrypt(message, keys)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, sub.Endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	authorization, err := signer.Authorization(vapid.Origin(request.URL), time.Now())
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", authorization)
	request.Header.Set("Content-Encoding", "aes128gcm")
	request.Header.Set("TTL", "60")
	_, err = offline{}.Do(request)
	return err
}

// offline is an HTTP client without a network.
type offline struct{}

func (offline) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, nil
}
