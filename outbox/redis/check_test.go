package redis

import (
	"errors"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestBeforeItIsOpenedRedisCanBeAskedWhetherItCanBeUsed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", storetest.Secret)
	socket := strings.TrimPrefix(server.URL, "unix://")
	b := provision(t, &Box{Address: at("unix://:" + storetest.Secret + "@" + socket)})
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	err := provision(t, &Box{Address: at("unix://:wrong@" + socket)}).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "WRONGPASS") || errors.Is(err, outbox.ErrUnreachable) {
		t.Errorf("with a wrong password: %v", err)
	}
	server.Kill()
	err = b.Check(t.Context())
	if !errors.Is(err, outbox.ErrUnreachable) || strings.Contains(err.Error(), storetest.Secret) {
		t.Errorf("when Redis is gone: %v", err)
	}
	cleanup(t, b)
	if err := b.Check(t.Context()); !errors.Is(err, outbox.ErrNotOpen) {
		t.Errorf("after its configuration is gone: %v", err)
	}
}
