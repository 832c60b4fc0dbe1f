package ece_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	webpush "github.com/SherClockHolmes/webpush-go"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// subscription is a subscription that an independent decrypter reads.
func subscription(tb testing.TB) (providertest.Subscription, ece.Keys) {
	tb.Helper()
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	keys, err := ece.ParseKeys(sub.P256dh, sub.Auth)
	if err != nil {
		tb.Fatal(err)
	}
	return sub, keys
}

func TestAnIndependentDecrypterReadsWhatWasEncrypted(t *testing.T) {
	t.Parallel()
	sub, keys := subscription(t)
	tests := []struct {
		name        string
		length      int
		wantedBytes int
	}{
		{"an empty message", 0, 512},
		{"the longest of the first bucket", 409, 512},
		{"the shortest of the second bucket", 410, 1024},
		{"the longest of the second bucket", 921, 1024},
		{"the shortest of the third bucket", 922, 2048},
		{"the longest of the third bucket", 1945, 2048},
		{"the shortest of the last bucket", 1946, 4096},
		{"the longest message", ece.MaxPlaintext, 4096},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			message := bytes.Repeat([]byte{'m'}, test.length)
			body, err := ece.Encrypt(message, keys)
			if err != nil {
				t.Fatal(err)
			}
			if len(body) != test.wantedBytes {
				t.Errorf("the body has %d bytes, want %d", len(body), test.wantedBytes)
			}
			got, err := sub.Decrypt(body)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, message) {
				t.Errorf("decrypted %q", got)
			}
		})
	}
}

func TestMessagesThatEndLikePaddingSurvive(t *testing.T) {
	t.Parallel()
	sub, keys := subscription(t)
	for _, message := range []string{"\x02", "\x00", "m\x02\x00\x00", "\x00\x00\x02"} {
		body, err := ece.Encrypt([]byte(message), keys)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := sub.Decrypt(body); err != nil || string(got) != message {
			t.Errorf("decrypted %q, %v, want %q", got, err, message)
		}
	}
}

func TestTheSameDecrypterReadsWhatWebpushGoEncrypts(t *testing.T) {
	t.Parallel()
	sub, _ := subscription(t)
	private, public, err := webpush.GenerateVAPIDKeys()
	if err != nil {
		t.Fatal(err)
	}
	client := new(captor)
	_, err = webpush.SendNotification([]byte("m"), &webpush.Subscription{
		Endpoint: "https://push.example/" + sub.Path,
		Keys:     webpush.Keys{P256dh: sub.P256dh, Auth: sub.Auth},
	}, &webpush.Options{HTTPClient: client, VAPIDPrivateKey: private, VAPIDPublicKey: public, Subscriber: "a@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sub.Decrypt(client.body); err != nil || string(got) != "m" {
		t.Errorf("decrypted %q, %v", got, err)
	}
}

// captor is an HTTP client without a network.
type captor struct{ body []byte }

func (c *captor) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	c.body = body
	return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, err
}

func TestAMessageThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	_, keys := subscription(t)
	if _, err := ece.Encrypt(make([]byte, ece.MaxPlaintext+1), keys); !errors.Is(err, ece.ErrTooLong) {
		t.Errorf("got %v", err)
	}
}

func TestNoKeysAreAnError(t *testing.T) {
	t.Parallel()
	if _, err := ece.Encrypt([]byte("m"), ece.Keys{}); err == nil {
		t.Error("a message was encrypted for nobody")
	}
}

func TestTwoEncryptionsOfOneMessageShareNothing(t *testing.T) {
	t.Parallel()
	_, keys := subscription(t)
	first, err := ece.Encrypt([]byte("m"), keys)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ece.Encrypt([]byte("m"), keys)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first[:16], second[:16]) {
		t.Error("the salt is the same")
	}
	if bytes.Equal(first[21:86], second[21:86]) {
		t.Error("the sender's key is the same")
	}
}

// Guards against webpush-go v1.4.0, which appends the padding to the caller's slice, and so overwrites the bytes behind a payload that
// several devices share.
func TestTheCallersSliceIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	_, keys := subscription(t)
	shared := []byte("message and what follows it")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := ece.Encrypt(shared[:7], keys); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if string(shared) != "message and what follows it" {
		t.Errorf("the slice is now %q", shared)
	}
}

func BenchmarkEncrypt(b *testing.B) {
	_, keys := subscription(b)
	message := bytes.Repeat([]byte{'m'}, 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ece.Encrypt(message, keys); err != nil {
			b.Fatal(err)
		}
	}
}
