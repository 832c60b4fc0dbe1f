package redis

import (
	"fmt"
	"slices"
	"strings"
	"testing"

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
