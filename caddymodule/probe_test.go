package caddymodule

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// storage is a storage in memory that fails on demand. A storage that hangs answers when its caller gives up.
type storage struct {
	certmagic.Storage
	mu    sync.Mutex
	files map[string][]byte
	fails error
	hangs bool
}

func (s *storage) Lock(context.Context, string) error { return nil }

func (s *storage) Unlock(context.Context, string) error { return nil }

func (s *storage) Load(ctx context.Context, path string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch data, ok := s.files[path]; {
	case s.hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case s.fails != nil:
		return nil, s.fails
	case !ok:
		return nil, fs.ErrNotExist
	default:
		return data, nil
	}
}

func (s *storage) Store(_ context.Context, path string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = data
	return s.fails
}

func (s *storage) become(fails error, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.hangs = fails, hangs
}

// keeping has a gateway keep its key, as long as the test lasts.
func keeping(t *testing.T, s certmagic.Storage) *gateway.Probes {
	t.Helper()
	probes := gateway.NewShared().Probes
	started := make(chan struct{})
	close(started)
	go keepProbeKey(t.Context(), started, s, probes)
	synctest.Wait()
	return probes
}

func TestGatewaysWithOneStorageAcceptEachOthersProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &storage{files: make(map[string][]byte)}
		one, other := keeping(t, shared), keeping(t, shared)
		stranger := keeping(t, &storage{files: make(map[string][]byte)})
		probe, err := one.Make(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := other.Seen(probe.Pushkey, time.Now()); !ok {
			t.Error("the other gateway does not accept it")
		}
		if _, ok := stranger.Seen(probe.Pushkey, time.Now()); ok {
			t.Error("a gateway with another storage accepts it")
		}
	})
}

func TestAStorageThatFailsDelaysProbesAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &storage{files: make(map[string][]byte), fails: errors.New("no route to the storage")}
		probes := keeping(t, s)
		want := func(text string) {
			t.Helper()
			if _, err := probes.Make(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("the error is %v, want %q", err, text)
			}
		}
		want("no route to the storage")
		s.become(nil, true)
		time.Sleep(probeKeyAgain + probeKeyTime)
		want("deadline exceeded")
		s.become(nil, false)
		time.Sleep(probeKeyAgain)
		if _, err := probes.Make(t.Context(), time.Now()); err != nil {
			t.Errorf("after the storage works again: %v", err)
		}
	})
}

func TestAStoredKeyForProbesThatCannotBeReadIsNeitherReplacedNorShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const broken = "a secret, but not a key"
		s := &storage{files: map[string][]byte{probeKeyPath: []byte(broken)}}
		_, err := keeping(t, s).Make(t.Context(), time.Now())
		if err == nil || !strings.Contains(err.Error(), probeKeyPath) || strings.Contains(err.Error(), "secret") ||
			string(s.files[probeKeyPath]) != broken {
			t.Errorf("the error is %v, and stored is %s", err, s.files[probeKeyPath])
		}
	})
}

func TestAConfigurationThatNeverWentLiveMakesNoKeyForProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &storage{files: make(map[string][]byte)}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		keepProbeKey(ctx, make(chan struct{}), s, gateway.NewShared().Probes)
		if len(s.files) > 0 {
			t.Error("it has made a key")
		}
	})
}
