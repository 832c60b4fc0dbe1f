package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestM10_ARecordIsInTheShardOfItsKey(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL + timeouts), Shards: 16})
	for n := range 40 {
		reject(t, s, n, 5000)
		if err := s.Delivered(t.Context(), key(n), s.now()); err != nil {
			t.Fatal(err)
		}
		tag := fmt.Sprintf("{matrix_push:%d}:", redisclient.Shard(key(n), 16))
		if left := s.shelf.Client.Exists(t.Context(), tag+"rejected:"+key(n).String(), tag+"delivered:"+key(n).String()).Val(); left != 2 {
			t.Errorf("%d of the keys of %d exist", left, n)
		}
	}
	// All records with the same app_id and pushkey are in one shard, so only that one is asked.
	if _, _, err := s.List(t.Context(), rejected.Query{Prefix: key(1).Family(), Cursor: "0/5"}); err == nil && redisclient.Shard(key(1), 16) != 0 {
		t.Error("a cursor of another shard is accepted")
	}
	page, next, err := s.List(t.Context(), rejected.Query{Prefix: key(1).Family()})
	if err != nil || next != "" || len(page) != 1 || page[0].Key != key(1) {
		t.Errorf("listed are %v, %q, %v", page, next, err)
	}
}

func TestM12_AShardThatIsDownCostsOnlyItsRecords(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	address := redisclient.Address{Cluster: &redisclient.Cluster{Servers: redisclient.Servers{Addresses: c.Addresses()}}}
	s := patient(opened(t, &Store{Address: address}))
	const records = 64
	var keys []rejected.Key
	for n := range records {
		keys = append(keys, key(n))
		reject(t, s, n, 5000)
	}
	primary := c.Primary(s.shelf.name(key(0)))
	down := slices.DeleteFunc(slices.Clone(keys), func(k rejected.Key) bool { return c.Primary(s.shelf.name(k)) != primary })
	for _, replica := range c.Replicas(primary) {
		replica.Kill()
	}
	primary.Kill()
	marks := make([]rejected.Mark, records)
	if err := s.Lookup(t.Context(), keys, marks); err == nil || !strings.Contains(err.Error(), "redis: ") {
		t.Errorf("Lookup: %v", err)
	}
	for i, k := range keys {
		if known := marks[i] != (rejected.Mark{}); known == slices.Contains(down, k) {
			t.Errorf("record %d, on the server that is down: %v, has a mark: %v", i, !known, known)
		}
	}
	for _, k := range keys {
		_, err := s.Get(t.Context(), k)
		if (err != nil) != slices.Contains(down, k) {
			t.Errorf("Get: %v", err)
		}
	}
}

// hanging is a hook with which the commands for a shard get no answer.
type hanging struct{ tag string }

func (hanging) DialHook(next redis.DialHook) redis.DialHook { return next }

func (hanging) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h hanging) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		for _, arg := range cmd.Args() {
			if strings.HasPrefix(fmt.Sprint(arg), h.tag) {
				<-ctx.Done()
				cmd.SetErr(ctx.Err())
				return ctx.Err()
			}
		}
		return next(ctx, cmd)
	}
}

func TestM13_AShardThatHangsDoesNotKeepSightingsOfOthersFromBeingWritten(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL + timeouts), Shards: 8})
	const records = 64
	for n := range records {
		reject(t, s, n, 5000)
	}
	s.shelf.Client.AddHook(hanging{"{matrix_push:0}"})
	seen := s.now().Add(time.Hour).Truncate(time.Millisecond)
	for n := range records {
		s.shelf.touches.add(key(n), sighting{seen, 30 * 24 * time.Hour})
	}
	s.shelf.flush()
	for n := range records {
		if s.shelf.of(key(n)) == 0 {
			continue
		}
		r, ok := decode(s.shelf.Client.Get(t.Context(), s.shelf.name(key(n))).Val())
		if !ok || !r.LastSeen.Equal(seen) {
			t.Errorf("record %d was last seen at %v, want %v", n, r.LastSeen, seen)
		}
	}
}
