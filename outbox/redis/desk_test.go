package redis

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestM13_AShardIsAskedOnceAtATime(t *testing.T) {
	t.Parallel()
	d := newDesk(2)
	start := time.Now()
	ask := func(at time.Duration) int {
		shard, _, _, _ := d.choose(start.Add(at), 1, func(int) bool { return true })
		return shard
	}
	if first, second := ask(0), ask(time.Second); first+second != 1 {
		t.Errorf("asked were shards %d and %d", first, second)
	}
	d.due(0, start)
	if again := ask(2 * time.Second); again >= 0 {
		t.Errorf("shard %d was asked again", again)
	}
	d.answered(0, nil, never)
	if again := ask(3 * time.Second); again != 0 {
		t.Errorf("asked was shard %d, want the one that became due meanwhile", again)
	}
}

func TestM13_OtherShardsAreAskedLaterIfAnswersTakeLonger(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]time.Duration{0: hesitation, 2 * hesitation: 4 * hesitation, time.Hour: maxHesitation} {
		d := newDesk(2)
		d.took = took
		start := time.Now()
		works := func(int) bool { return true }
		d.choose(start, 1, works)
		if shard, _, wait, more := d.choose(start, 1, works); shard >= 0 || wait != want || !more {
			t.Errorf("after an answer that took %v, the next shard is asked after %v, want %v", took, wait, want)
		}
	}
}

func TestM13_ALeaseDoesNotWaitUntilOthersAreGivenBack(t *testing.T) {
	t.Parallel()
	returned, given := make(chan struct{}), make(chan struct{})
	b := opened(t, &Box{Address: hooked(t, redistest.Start(t), func(cmd redis.Cmder) error {
		if concerns(cmd, releaseScript.Hash()) {
			defer close(given)
			select {
			case <-returned:
			case <-time.After(patience):
				t.Error("the lease waits")
			}
		}
		return nil
	})})
	accept(t, b, entry("a", "1"), entry("b", "2"))
	leased, _, err := b.queue.shards[0].take(t.Context(), app, 2)
	if err != nil || len(leased) != 2 {
		t.Fatal(leased, err)
	}
	d := b.queue.desks.of(app)
	d.granted = []outbox.Leased{leased[0], leased[1]}
	if got, err := b.Lease(t.Context(), app, 1); err != nil || len(got) != 1 {
		t.Errorf("leased are %v, %v", got, err)
	}
	close(returned)
	<-given
	settle(t, b, leased[0].Ref())
	if ids := leaseIn(t, b, patience); len(ids) != 1 || ids[0] != "2" {
		t.Errorf("leased are %q", ids)
	}
	settle(t, b, leased[1].Ref())
}
