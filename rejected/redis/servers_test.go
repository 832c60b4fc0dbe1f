package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestM06_TheRejectedStoreNeedsOnlyThePermissionsOfThePage(t *testing.T) {
	t.Parallel()
	for _, servers := range storetest.LimitedServers {
		t.Run(servers.Name, func(t *testing.T) {
			t.Parallel()
			at, denied := servers.Start(t)
			useAll(t, patient(opened(t, &Store{Address: at})))
			if denied := denied(); len(denied) > 0 {
				t.Errorf("Redis denied %q", denied)
			}
		})
	}
}

// useAll uses everything that a store can do in Redis.
func useAll(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	reject(t, s, 1, 5000)
	suspect(t, s, 2)
	acquit(t, s, 2)
	if !isKnown(t, s, 1) {
		t.Error("not known")
	}
	if page, _, err := s.List(ctx, rejected.Query{}); err != nil || len(page) != 1 {
		t.Errorf("listed are %v, %v", page, err)
	}
	_, get := s.Get(ctx, key(1))
	_, last := s.LastDelivered(ctx, key(3))
	_, migrated := s.Migrated(ctx, "change")
	s.shelf.flush()
	err := errors.Join(
		get, last, migrated, s.Delivered(ctx, key(3), time.Now()), s.NoteMigrated(ctx, "change"), s.Forget(ctx, key(1)), s.Check(ctx),
	)
	if err != nil {
		t.Error(err)
	}
}

// eventually waits until a call works.
func eventually(t *testing.T, what string, call func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = call(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

func TestM02_AfterAFailoverTheRejectedStoreGoesOn(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, 1, nil)
	s := patient(opened(t, &Store{Address: storetest.SentinelAddress(servers)}))
	reject(t, s, 1, 5000)
	servers.Replicated()
	servers.Primary().Kill()
	eventually(t, "a record is stored", func() error {
		return s.Reject(t.Context(), key(2), rejected.Verdict{Reason: "gone", PushkeyTS: 5000, At: s.now()})
	})
	again := patient(opened(t, &Store{Address: s.Address, gateway: "b"}))
	if !isKnown(t, again, 1) || !isKnown(t, again, 2) {
		t.Error("a record is gone")
	}
}

// Commands with one key work while its slot is moved: Redis names the node to ask.
func TestM03_WhileASlotIsMovedTheRejectedStoreWorks(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := patient(opened(t, &Store{Address: storetest.ClusterAddress(cluster)}))
	reject(t, s, 1, 5000)
	from := cluster.Primary(s.shelf.shards[s.shelf.of(key(1))].records)
	var to *redistest.Server
	for _, slot := range []string{"{bar}", "{foo}"} {
		if primary := cluster.Primary(slot); primary != from {
			to = primary
		}
	}
	finish := cluster.Move(s.shelf.shards[s.shelf.of(key(1))].records, to)
	reject(t, s, 2, 5000)
	for n := 1; n <= 2; n++ {
		if _, err := s.Get(t.Context(), key(n)); err != nil {
			t.Errorf("record %d: %v", n, err)
		}
	}
	finish()
	again := patient(opened(t, &Store{Address: s.Address, gateway: "b"}))
	if !isKnown(t, again, 1) || !isKnown(t, again, 2) {
		t.Error("a record is gone")
	}
}
