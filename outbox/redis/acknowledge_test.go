package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/outboxtest"
)

var (
	onDisk     = redisclient.Acknowledge{Disk: true}
	oneReplica = redisclient.Acknowledge{Replicas: 1}
)

// accepting accepts an entry until it succeeds, as the gateway does with a push in doubt.
func accepting(t *testing.T, b *Box, e outbox.Entry) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err = tryAccept(t.Context(), b, e); err == nil {
			return
		}
	}
	t.Fatalf("Accept: %v", err)
}

func TestM25_APushCountsAsAcceptedOnlyWhenAReplicaHasIt(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, 1, nil)
	b := opened(t, &Box{Address: storetest.SentinelAddress(servers), Acknowledge: oneReplica, gateway: "a"})
	memory := opened(t, &Box{Address: storetest.SentinelAddress(servers), gateway: "b"})
	accept(t, b, entry("d", "first"))

	resume := servers.Replicas()[0].Pause()
	e := entry("d", "second")
	e.Event, e.EventUntil = [16]byte{1}, time.Now().Add(time.Hour)
	if err := tryAccept(t.Context(), b, e); !errors.Is(err, outbox.ErrUnsure) {
		t.Errorf("Accept without the replica: %v, want ErrUnsure", err)
	}
	if err := tryAccept(t.Context(), b, e); !errors.Is(err, outbox.ErrUnsure) {
		t.Errorf("Accept again: %v, want ErrUnsure, although the primary has the push", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), outbox.AskTime)
	defer cancel()
	if claim, err := b.Claim(ctx, e.Device, e.Event); claim != outbox.Taken || err != nil {
		t.Errorf("Claim of its event: %v, %v; want Taken, so it is answered with 503", claim, err)
	}
	accept(t, memory, entry("d", "third"))

	resume()
	accepting(t, b, e)
	if claim, err := b.Claim(t.Context(), e.Device, e.Event); claim != outbox.Done || err != nil {
		t.Errorf("Claim of its event: %v, %v; want Done", claim, err)
	}
	if ids := strings.Join(drain(t, memory), " "); ids != "first second third" {
		t.Errorf("delivered were %q", ids)
	}
}

func TestM26_AnOutboxWhoseReplicasConfirmPassesTheSuite(t *testing.T) {
	t.Parallel()
	address := storetest.SentinelAddress(redistest.StartSentinel(t, 1, nil))
	h := harness(address, 1, true)
	inner := h.New
	h.New = func(t *testing.T, bounds outboxtest.Bounds) outbox.Queue {
		q := inner(t, bounds)
		q.(*Box).Acknowledge = oneReplica
		return q
	}
	outboxtest.Run(t, h)
}

func TestM27_WhatNoServerCanConfirmFailsTheLoad(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		start starter
		want  redisclient.Acknowledge
		cure  string // empty if it loads
	}{
		"appendfsync always": {start: alone("--appendfsync", "always"), want: onDisk},
		"appendfsync everysec, without WAITAOF": {
			alone("--appendfsync", "everysec"), onDisk, "acknowledge disk: the server has no WAITAOF, and appendfsync is everysec: set appendfsync always",
		},
		"no append-only file": {alone("--appendonly", "no"), onDisk, "set appendonly yes"},
		"appendfsync no":      {alone("--appendfsync", "no"), onDisk, "set appendfsync always"},
		"a user who may not read the settings": {
			without("-config", alone()), onDisk, "add +config|get to its permissions",
		},
		"a user who may not wait": {
			without("-wait", alone()), oneReplica, "add +wait to its permissions",
		},
		"WAITAOF":                           {start: valkey("--appendfsync", "everysec"), want: onDisk},
		"WAITAOF and no file":               {valkey("--appendonly", "no"), onDisk, "set appendonly yes"},
		"WAITAOF and no file, seen by that": {without("-config", valkey("--appendonly", "no")), onDisk, "set appendonly yes"},
		"WAITAOF and appendfsync no":        {valkey("--appendfsync", "no"), onDisk, "set appendfsync always"},
		"a user who may not use WAITAOF": {
			without("-waitaof", valkey("--appendfsync", "everysec")), onDisk, "add +waitaof to its permissions",
		},
		"fewer replicas than the sentinels know": {
			sentinels(1), redisclient.Acknowledge{Replicas: 2}, "the primary has 1 replicas: add replicas, or write a smaller number",
		},
		"a cluster without replicas": {bareCluster, oneReplica, " has 0 replicas: add replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := provision(t, &Box{Address: row.start(t), Acknowledge: row.want})
			err := b.Open(t.Context())
			if row.cure == "" {
				if err != nil {
					t.Fatal(err)
				}
				accept(t, b, entry("d", "1"))
				accept(t, b, entry("d", "1"))
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.cure) {
				t.Errorf("Open: %v, want %q in it", err, row.cure)
			}
			if err := b.Check(t.Context()); err == nil || !strings.Contains(err.Error(), row.cure) {
				t.Errorf("Check: %v, want %q in it", err, row.cure)
			}
		})
	}
}

// starter starts servers.
type starter = func(t *testing.T) redisclient.Address

func alone(options ...string) starter {
	return func(t *testing.T) redisclient.Address {
		t.Helper()
		return at(redistest.Start(t, options...).URL)
	}
}

// without takes a permission from the user.
func without(permission string, start starter) starter {
	return func(t *testing.T) redisclient.Address {
		t.Helper()
		address := start(t)
		client, err := redisclient.Load(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Unload() })
		if err := client.Do(t.Context(), "ACL", "SETUSER", "default", permission).Err(); err != nil {
			t.Fatal(err)
		}
		return address
	}
}

func valkey(options ...string) starter {
	return func(t *testing.T) redisclient.Address {
		t.Helper()
		return at(redistest.Valkey9.Start(t, options...).URL)
	}
}

func sentinels(replicas int) starter {
	return func(t *testing.T) redisclient.Address {
		t.Helper()
		return storetest.SentinelAddress(redistest.StartSentinel(t, replicas, nil))
	}
}

// bareCluster starts a cluster, and takes the replicas from it.
func bareCluster(t *testing.T) redisclient.Address {
	t.Helper()
	c := redistest.StartCluster(t)
	ctx := context.Background()
	for _, node := range c.Nodes[3:] {
		id := node.Client().ClusterMyID(ctx).Val()
		node.Kill()
		for _, primary := range c.Nodes[:3] {
			if err := primary.Client().ClusterForget(ctx, id).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Nodes = c.Nodes[:3]
	return storetest.ClusterAddress(c)
}

func TestM28_AReplicaThatIsDownIsReportedOnceUntilItIsBack(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, 1, nil)
	replica := servers.Replicas()[0]
	replica.Kill()
	var log logBuffer
	b := provision(t, &Box{Address: storetest.SentinelAddress(servers), Acknowledge: oneReplica, Shards: 4})
	b.log = log.logger()
	if err := b.Open(t.Context()); err != nil {
		t.Fatalf("Open: %v, want it to open: the sentinels know the replica", err)
	}
	for _, d := range []string{"a", "b", "c", "d", "e", "f"} {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		if err := tryAccept(ctx, b, entry(d, d)); !errors.Is(err, outbox.ErrUnsure) {
			t.Errorf("Accept: %v, want ErrUnsure", err)
		}
		cancel()
	}
	replica.Restart()
	for _, d := range []string{"a", "b", "c", "d", "e", "f"} {
		accepting(t, b, entry(d, d))
	}
	waitUntil(t, "it is confirmed", func() bool { return b.queue.doubtful.Load() == 0 })
	for _, line := range []string{"redis cannot confirm pushes now", "redis does not confirm pushes", "redis confirms pushes again"} {
		if n := strings.Count(log.String(), `msg="`+line); n != 1 {
			t.Errorf("%q was logged %d times, want once:\n%s", line, n, log.String())
		}
	}
}

func TestM29_AMissingConfirmationEndsWithoutTraffic(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, 1, nil)
	b := opened(t, &Box{Address: storetest.SentinelAddress(servers), Acknowledge: oneReplica})
	resume := servers.Replicas()[0].Pause()
	if err := tryAccept(t.Context(), b, entry("d", "1")); !errors.Is(err, outbox.ErrUnsure) {
		t.Fatalf("Accept: %v, want ErrUnsure", err)
	}
	resume()
	waitUntil(t, "it is confirmed", func() bool { return b.queue.doubtful.Load() == 0 })
}

func TestM30_AWriteThatMustBeConfirmedFollowsItsSlot(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	b := opened(t, &Box{Address: storetest.ClusterAddress(c), Acknowledge: oneReplica, Shards: 4})
	accept(t, b, entry("d", "1"))
	key := b.queue.of(device("d")).keys.apps
	from := c.Primary(key)
	for _, node := range c.Nodes[:3] {
		if node != from {
			c.Move(key, node)()
			break
		}
	}
	accept(t, b, entry("d", "2"))
	primary := c.Primary(key)
	primary.Kill()
	primary.Wipe()
	c.Primary(key)
	// The new primary has no replica.
	waitUntil(t, "it is confirmed", func() bool { return errors.Is(tryAccept(t.Context(), b, entry("d", "3")), redisclient.ErrUnconfirmed) })
	primary.Restart()
	accepting(t, b, entry("d", "3"))
	if ids := strings.Join(drain(t, b), " "); ids != "1 2 3" {
		t.Errorf("delivered were %q, want 1 2 3", ids)
	}
}

// The table in docs/redis.md has these rows. A test cannot take the power from a machine.
func TestM31_WhatA200IsWorth(t *testing.T) {
	t.Parallel()
	always, everysec := []string{"--appendfsync", "always"}, []string{"--appendfsync", "everysec"}
	for _, row := range []struct {
		name     string
		want     redisclient.Acknowledge
		options  []string
		accident func(t *testing.T, want redisclient.Acknowledge, options []string) (kept string)
		kept     string
	}{
		{"memory, the process crashes", redisclient.Acknowledge{}, everysec, crash, "1"},
		{"disk, the process crashes", onDisk, always, crash, "1"},
		{"memory, the disk is lost", redisclient.Acknowledge{}, always, loseDisk, ""},
		{"disk, the disk is lost", onDisk, always, loseDisk, ""},
		{"memory, a replica that lags takes over", redisclient.Acknowledge{}, always, failOverLagging, ""},
		{"disk, a replica that lags takes over", onDisk, always, failOverLagging, ""},
		{"replicas, a replica that lags takes over", oneReplica, nil, failOverLagging, "not accepted"},
		{"replicas, the replica takes over", oneReplica, everysec, failOver, "1"},
		{"replicas, of two the one that lags is not chosen", oneReplica, nil, failOverToTheBetter, "1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if kept := row.accident(t, row.want, row.options); kept != row.kept {
				t.Errorf("kept are %q, want %q", kept, row.kept)
			}
		})
	}
}

func crash(t *testing.T, want redisclient.Acknowledge, options []string) string {
	t.Helper()
	server := redistest.Start(t, options...)
	b := opened(t, &Box{Address: at(server.URL), Acknowledge: want})
	accept(t, b, entry("d", "1"))
	server.Kill()
	server.Restart()
	return left(t, b)
}

func loseDisk(t *testing.T, want redisclient.Acknowledge, options []string) string {
	t.Helper()
	server := redistest.Start(t, options...)
	b := opened(t, &Box{Address: at(server.URL), Acknowledge: want})
	accept(t, b, entry("d", "1"))
	server.Kill()
	server.Wipe()
	server.Restart()
	return left(t, b)
}

// failOver loses the primary after a push was accepted.
func failOver(t *testing.T, want redisclient.Acknowledge, options []string) string {
	t.Helper()
	servers := redistest.StartSentinel(t, 1, options)
	b := opened(t, &Box{Address: storetest.SentinelAddress(servers), Acknowledge: want})
	accept(t, b, entry("d", "1"))
	lose(servers)
	return left(t, b)
}

// failOverLagging loses the primary while the replica lacks a push.
func failOverLagging(t *testing.T, want redisclient.Acknowledge, options []string) string {
	t.Helper()
	servers := redistest.StartSentinel(t, 1, options)
	b := opened(t, &Box{Address: storetest.SentinelAddress(servers), Acknowledge: want})
	resume := cutOff(t, servers)
	err := tryAccept(t.Context(), b, entry("d", "1"))
	lose(servers, resume)
	if kept := left(t, b); kept != "" || err == nil {
		return kept
	}
	return "not accepted"
}

// failOverToTheBetter loses the primary while one of two replicas lacks a push.
func failOverToTheBetter(t *testing.T, want redisclient.Acknowledge, options []string) string {
	t.Helper()
	servers := redistest.StartSentinel(t, 2, options)
	b := opened(t, &Box{Address: storetest.SentinelAddress(servers), Acknowledge: want})
	resume := cutOff(t, servers)
	accept(t, b, entry("d", "1"))
	lose(servers, resume)
	return left(t, b)
}

// cutOff makes a replica lack what is written from now on, until the returned function is called. Pausing it is not enough, as it would find
// what the primary has sent meanwhile.
func cutOff(t *testing.T, servers *redistest.Sentinel) (resume func()) {
	t.Helper()
	primary, replicas := servers.Primary(), servers.Replicas()
	resume = replicas[0].Pause()
	if err := primary.Client().ClientKillByFilter(t.Context(), "TYPE", "replica").Err(); err != nil {
		t.Fatal(err)
	}
	for _, replica := range replicas[1:] { // they come back
		waitUntil(t, "the other replica is back", func() bool {
			return strings.Contains(replica.Client().Info(t.Context(), "replication").Val(), "master_link_status:up")
		})
	}
	return resume
}

// lose loses the primary and its data, and does something before a replica takes over.
func lose(servers *redistest.Sentinel, before ...func()) {
	primary := servers.Primary()
	primary.Kill()
	primary.Wipe()
	for _, do := range before {
		do()
	}
	servers.Primary()
}

// left returns what the outbox still has, once it can be read.
func left(t *testing.T, b *Box) string {
	t.Helper()
	waitUntil(t, "the outbox can be read", func() bool { _, err := b.Depths(t.Context()); return err == nil })
	page, _, err := b.List(t.Context(), app, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, w := range page {
		ids = append(ids, w.ID)
	}
	return strings.Join(ids, " ")
}

// A push is removed from one shard only when the other one has confirmed it, since another server may have that one.
func TestM30_PushesThatAreMovedAreConfirmedFirst(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, 1, nil)
	address := storetest.SentinelAddress(servers)
	old := opened(t, &Box{Address: address, Acknowledge: oneReplica})
	accept(t, old, entry("a", "1"), entry("b", "2"))
	more := provision(t, &Box{Address: address, Acknowledge: oneReplica, Shards: 2})
	resume := servers.Replicas()[0].Pause()
	if err := more.Move(t.Context(), func(int) {}); !errors.Is(err, redisclient.ErrUnconfirmed) {
		t.Errorf("Move without the replica: %v, want ErrUnconfirmed", err)
	}
	if page, _, err := old.List(t.Context(), app, "", 10); err != nil || len(page) != 2 {
		t.Errorf("the old shard has %+v, %v; want both", page, err)
	}
	resume()
	waitUntil(t, "they are moved", func() bool { return more.Move(t.Context(), func(int) {}) == nil })
	if err := more.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := drain(t, more)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"1", "2"}) {
		t.Errorf("delivered were %q", ids)
	}
}
