package redis

import (
	"errors"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestBeforeItIsOpenedRedisCanBeAskedWhetherItCanBeUsed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", storetest.Secret)
	socket := strings.TrimPrefix(server.URL, "unix://")
	s := provision(t, &Store{Address: at("unix://:" + storetest.Secret + "@" + socket)})
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	err := provision(t, &Store{Address: at("unix://:wrong@" + socket)}).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "WRONGPASS") || errors.Is(err, rejected.ErrUnreachable) {
		t.Errorf("with a wrong password: %v", err)
	}
	server.Kill()
	err = s.Check(t.Context())
	if !errors.Is(err, rejected.ErrUnreachable) || strings.Contains(err.Error(), storetest.Secret) {
		t.Errorf("when Redis is gone: %v", err)
	}
	cleanup(t, s)
	if err := s.Check(t.Context()); !errors.Is(err, rejected.ErrNotOpen) {
		t.Errorf("after its configuration is gone: %v", err)
	}
}
