package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/rejectedtest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// timeouts are long, because the machine may be busy.
const timeouts = "?read_timeout=10s&write_timeout=10s&pool_timeout=10s"

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, servers := range storetest.RedisServers {
		t.Run(servers.Name, func(t *testing.T) {
			t.Parallel()
			rejectedtest.Run(t, harness(servers.Start(t), 0))
		})
	}
}

func TestM11_TheRejectedStoreMayHaveSeveralShards(t *testing.T) {
	t.Parallel()
	rejectedtest.Run(t, harness(storetest.RedisServers[0].Start(t), 5))
}

// harness connects the suite to a store on a server.
func harness(address redisclient.Address, shards int) rejectedtest.Harness {
	return rejectedtest.Harness{
		New: func(t *testing.T, now func() time.Time) rejected.Store {
			return patient(opened(t, &Store{Address: address, Prefix: rand.Text(), Shards: shards, now: now}))
		},
		Unopened: func(t *testing.T) rejected.Store {
			return patient(provision(t, &Store{Address: address, Prefix: rand.Text(), Shards: shards}))
		},
		Close: func(t *testing.T, s rejected.Store) { cleanup(t, s.(*Store)) },
		Reopen: func(t *testing.T, s rejected.Store) rejected.Store {
			old := s.(*Store)
			cleanup(t, old)
			return patient(opened(t, &Store{Address: old.Address, Prefix: old.Prefix, Shards: shards, now: old.now}))
		},
		Stalling: stalling,
		Elapsed:  func(_ *testing.T, s rejected.Store, _ time.Duration) { s.(*Store).shelf.flush() },
	}
}

// stalling returns a store in a server that can be made to stop answering.
func stalling(t *testing.T, now func() time.Time) (rejected.Store, func() func()) {
	server := redistest.Start(t)
	return patient(opened(t, &Store{Address: at(server.URL + timeouts), now: now})), server.Pause
}

// patient lets lookups of a store wait longer for Redis than a request does.
func patient(s *Store) *Store {
	s.shelf.lookupTime = 10 * time.Second
	return s
}

var (
	stores                          storetest.Fixture[*Store]
	tryProvision, provision, opened = stores.TryProvision, stores.Provision, stores.Opened
	cleanup                         = storetest.Cleanup
)

// gateways returns two gateways that share one store and one clock.
func gateways(t testing.TB, s *redistest.Server, now func() time.Time) (a, b *Store) {
	t.Helper()
	return opened(t, &Store{Address: at(s.URL), gateway: "a", now: now}), opened(t, &Store{Address: at(s.URL), gateway: "b", now: now})
}

// testClock stands still until it is moved.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func newTestClock() *testClock { return &testClock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func key(n int) rejected.Key { return rejected.KeyOf("org.example.app", fmt.Sprint(n)) }

func reject(t testing.TB, s *Store, n int, pushkeyTS int64) {
	t.Helper()
	err := s.Reject(context.Background(), key(n), rejected.Verdict{Reason: "gone", PushkeyTS: pushkeyTS, At: s.now()})
	if err != nil {
		t.Fatalf("Reject: %v", err)
	}
}

// isKnown reports whether there is a mark. It asks again if the machine is too busy to answer in a request's time.
func isKnown(t testing.TB, s *Store, n int) bool {
	t.Helper()
	marks := make([]rejected.Mark, 1)
	var err error
	for range 20 {
		if err = s.Lookup(context.Background(), []rejected.Key{key(n)}, marks); !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	if err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	return marks[0] != rejected.Mark{}
}

func at(url string) redisclient.Address { return redisclient.Address{URL: url} }
