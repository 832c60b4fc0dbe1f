package caddymodule

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/storedkey"
)

// sighting returns how a request for a probe arrived.
func (h *Handler) sighting(r *http.Request) *gateway.Sighting {
	s := &gateway.Sighting{At: h.app.gateway.Now(), From: clientIP(r), Site: h.siteName(r), UserAgent: r.UserAgent()}
	if r.TLS != nil {
		s.TLS = tls.VersionName(r.TLS.Version)
	}
	return s
}

const (
	// probeKeyPath is where the storage has the key of probes. All gateways that share the storage share the key.
	probeKeyPath = "matrix_push/probe.key"
	// probeKeyTime is how long the storage may take, and probeKeyAgain is when a storage that failed is asked again.
	probeKeyTime  = 10 * time.Second
	probeKeyAgain = 30 * time.Second
)

// probeKey is the kind of key that signs probes. It is stored in hexadecimal.
var probeKey = storedkey.Kind[[]byte]{
	Name: "key for probes",
	Parse: func(data []byte) ([]byte, error) {
		key, err := hex.DecodeString(strings.TrimSpace(string(data)))
		if err != nil || len(key) != sha256.Size {
			return nil, errors.New("the content is not 32 bytes in hexadecimal: remove it, so the gateway makes another key")
		}
		return key, nil
	},
	Make: func() ([]byte, []byte, error) {
		key := make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails, see its documentation
		return key, []byte(hex.EncodeToString(key) + "\n"), nil
	},
}

// keepProbeKey loads the key of probes from the storage, where the first gateway makes it. Like warm, it waits until all of Caddy's apps
// have started. No request waits for it, and while the storage fails, it tries again.
func keepProbeKey(ctx context.Context, allStarted <-chan struct{}, storage certmagic.Storage, probes *gateway.Probes) {
	select {
	case <-allStarted:
	case <-ctx.Done():
		return
	}
	for {
		key, err := loadProbeKey(ctx, storage)
		switch {
		case ctx.Err() != nil: // the next configuration may have another storage
			return
		case err == nil:
			probes.SetKey(key)
			return
		}
		probes.KeyFailed(err)
		select {
		case <-time.After(probeKeyAgain):
		case <-ctx.Done():
			return
		}
	}
}

func loadProbeKey(ctx context.Context, storage certmagic.Storage) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, probeKeyTime)
	defer cancel()
	return probeKey.LoadOrMake(ctx, storage, probeKeyPath)
}
