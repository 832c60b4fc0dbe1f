package redis

import (
	"errors"
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestM02_AfterAFailoverTheOutboxGoesOn(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, 1, nil)
	b := opened(t, &Box{Address: storetest.SentinelAddress(servers)})
	accept(t, b, entry("a", "1"), entry("b", "2"))
	servers.Replicated()
	servers.Primary().Kill()
	goesOn(t, b)
}

func TestM03_AfterAFailoverTheOutboxGoesOn(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	b := opened(t, &Box{Address: storetest.ClusterAddress(cluster)})
	accept(t, b, entry("a", "1"), entry("b", "2"))
	primary := cluster.Primary(b.queue.of(device("a")).keys.base)
	primary.Replicated(1)
	primary.Kill()
	goesOn(t, b)
}

// goesOn wants a box to accept entries again, and to have all of them, each device's in order.
func goesOn(t *testing.T, b *Box) {
	t.Helper()
	waitUntil(t, "an entry is accepted", func() bool { return tryAccept(t.Context(), b, entry("a", "3")) == nil })
	waitUntil(t, "another entry is accepted", func() bool { return tryAccept(t.Context(), b, entry("c", "4")) == nil })
	var ids []string
	waitUntil(t, "all entries are leased", func() bool { ids = append(ids, drain(t, b)...); return len(ids) >= 4 })
	if slices.Index(ids, "1") > slices.Index(ids, "3") {
		t.Errorf("the order is %q", ids)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"1", "2", "3", "4"}) {
		t.Errorf("it had %q", ids)
	}
}

func TestM03_WhileASlotIsMovedNothingIsAcceptedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	b := opened(t, &Box{Address: storetest.ClusterAddress(cluster)})
	accept(t, b, entry("a", "1"), entry("b", "2"))
	var to *redistest.Server
	for _, slot := range []string{"{bar}", "{foo}"} {
		if primary := cluster.Primary(slot); primary != cluster.Primary(b.queue.of(device("a")).keys.base) {
			to = primary
		}
	}
	finish := cluster.Move(b.queue.of(device("a")).keys.base, to)
	if err := tryAccept(t.Context(), b, entry("a", "refused")); err == nil || errors.Is(err, outbox.ErrUnsure) || !redisclient.Unreachable(err) {
		t.Errorf("Accept: %v", err)
	}
	finish()
	goesOn(t, b)
}
