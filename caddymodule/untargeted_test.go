package caddymodule

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// migratingStore has records of these apps' devices and remembers their changes.
type migratingStore struct {
	rejected.Store
	mu      sync.Mutex
	records map[rejected.Key]string
	noted   map[string]bool
	err     error
}

func (s *migratingStore) List(context.Context, rejected.Query) (page []rejected.Entry, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, app := range s.records {
		page = append(page, rejected.Entry{Key: k, Record: rejected.Record{App: app, Verdicts: 1, FirstSeen: time.Now().Add(-time.Hour)}})
	}
	return page, "", s.err
}

func (s *migratingStore) Forget(_ context.Context, k rejected.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, k)
	return nil
}

func (s *migratingStore) Migrated(_ context.Context, change string) (bool, error) {
	return s.noted[change], nil
}

func (s *migratingStore) NoteMigrated(_ context.Context, change string) error {
	s.noted[change] = true
	return nil
}

// identifying is a provider that identifies devices by more than their pushkeys.
type identifying struct{ providers.Provider }

func (identifying) Target(*providers.Device) string { return "a target" }

func TestThatRecordsWithoutEndpointsAreDroppedIsOneLineOfTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		router, err := gateway.NewRouter([]*gateway.App{{Pattern: "org.example.ios", Provider: identifying{}}, {Pattern: "org.example.*", Provider: silent{}}})
		if err != nil {
			t.Fatal(err)
		}
		other := rejected.Key{4}
		store := &migratingStore{noted: make(map[string]bool), records: map[rejected.Key]string{
			{1}: "org.example.ios", {2}: "org.example.ios", {3}: "org.example.ios", other: "org.example.*",
		}}
		core, logs := zapobserver.New(zapcore.DebugLevel)
		o := telemetry.NewObserver(zap.New(core), nil)
		g := gateway.New(gateway.Options{Router: router, Rejected: store, Shared: gateway.NewShared(), Observer: o, Now: time.Now})
		for n := range 2 {
			started := make(chan struct{})
			go dropUntargeted(t.Context(), started, g, o)
			synctest.Wait()
			if n == 0 && len(store.records) != 4 {
				t.Error("records are dropped for a configuration that may yet fail")
			}
			close(started)
			synctest.Wait()
		}
		if store.records[other] == "" || len(store.records) != 1 {
			t.Errorf("left are %v", store.records)
		}
		entries := logs.All()
		if len(entries) != 1 || entries[0].Level != zapcore.InfoLevel || entries[0].ContextMap()["records"] != int64(3) ||
			entries[0].ContextMap()["app"] != "org.example.ios" {
			t.Errorf("logged is %+v", entries)
		}
		clear(store.noted)
		store.err = rejected.ErrNotOpen
		started := make(chan struct{})
		close(started)
		dropUntargeted(t.Context(), started, g, o)
		if entries := logs.All(); len(entries) != 2 || entries[1].Level != zapcore.WarnLevel {
			t.Errorf("that it fails is logged as %+v", entries[1:])
		}
	})
}
