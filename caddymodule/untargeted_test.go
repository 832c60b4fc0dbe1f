package caddymodule

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// migratingStore remembers which changes its records went through.
type migratingStore struct {
	listedStore
	noted map[string]bool
}

func (s migratingStore) Migrated(_ context.Context, change string) (bool, error) {
	return s.noted[change], nil
}

func (s migratingStore) NoteMigrated(_ context.Context, change string) error {
	s.noted[change] = true
	return nil
}

func TestThatRecordsWithoutEndpointsAreDroppedIsOneLineOfTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newAdminRig(t)
		r.withEndpoints()
		r.serve(migratingStore{listedStore{r.store}, make(map[string]bool)}, r.box)
		for _, pushkey := range []string{"a", "b", "c"} {
			r.reject("org.example.ios", "org.example.ios", pushkey, today.Add(-time.Hour))
		}
		other := r.reject("org.example.*", "org.example.mac", "a", today.Add(-time.Hour))
		core, logs := zapobserver.New(zapcore.DebugLevel)
		for n := range 2 {
			r.app.events, r.app.observer = &events{ready: make(chan struct{})}, &observer{logger: zap.New(core)}
			go r.app.dropUntargeted(t.Context())
			synctest.Wait()
			if n == 0 && len(r.store.records) != 4 {
				t.Error("records are dropped for a configuration that may yet fail")
			}
			close(r.app.events.ready)
			synctest.Wait()
		}
		if _, ok := r.store.records[other]; !ok || len(r.store.records) != 1 {
			t.Errorf("left are %v", r.store.records)
		}
		entries := logs.All()
		if len(entries) != 1 || entries[0].Level != zapcore.InfoLevel || entries[0].ContextMap()["records"] != int64(3) ||
			entries[0].ContextMap()["app"] != "org.example.ios" {
			t.Errorf("logged is %+v", entries)
		}
		r.store.err = rejected.ErrNotOpen
		r.serve(migratingStore{listedStore{r.store}, make(map[string]bool)}, r.box)
		r.app.dropUntargeted(t.Context())
		if entries := logs.All(); len(entries) != 2 || entries[1].Level != zapcore.WarnLevel {
			t.Errorf("that it fails is logged as %+v", entries[1:])
		}
	})
}
