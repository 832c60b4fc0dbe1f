package redis

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// BenchmarkServer measures what a push costs the Redis server and the gateway: the CPU time of all threads. docs/scaling.md has the results.
func BenchmarkServer(b *testing.B) {
	for _, bm := range []struct {
		name string
		push func(ctx context.Context, box *Box, e outbox.Entry) error
	}{
		{"delivered at once", deliverAtOnce},
		{"delivered late", deliverLate},
		{"retried", retry},
	} {
		for _, fsync := range []string{"always", "everysec"} {
			b.Run(bm.name+"/"+fsync, func(b *testing.B) {
				server, box := benchBox(b, fsync, 1)
				before := server.CPU(b)
				forEach(b, box, bm.push)
				b.ReportMetric((server.CPU(b)-before).Seconds()*1e6/float64(b.N), "server-µs/op")
			})
		}
	}
}

// BenchmarkBusiest measures what a push costs the busiest server: with one shard on one server, and with four shards on four.
func BenchmarkBusiest(b *testing.B) {
	for name, push := range map[string]func(context.Context, *Box, outbox.Entry) error{
		"delivered late": deliverLate, "retried": retryMany(),
	} {
		for _, shards := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/%d", name, shards), func(b *testing.B) {
				cluster := redistest.StartPrimaries(b, shards, "--appendfsync", "everysec")
				servers := redisclient.Servers{Addresses: cluster.Addresses(), ReadTimeout: caddy.Duration(10 * time.Second)}
				box := opened(b, &Box{
					Address: redisclient.Address{Cluster: &redisclient.Cluster{Servers: servers}},
					Prefix:  spread(b, cluster, shards), Shards: shards, MaxPerApp: 1 << 30, MaxSize: 1 << 50,
				})
				before := make([]time.Duration, shards)
				for i, node := range cluster.Nodes {
					before[i] = node.CPU(b)
				}
				forEach(b, box, push)
				busiest := time.Duration(0)
				for i, node := range cluster.Nodes {
					busiest = max(busiest, node.CPU(b)-before[i])
				}
				b.ReportMetric(busiest.Seconds()*1e6/float64(b.N), "busiest-server-µs/op")
			})
		}
	}
}

// retryMany is retry, but as many pushes are leased at once as a gateway does it when many are due.
func retryMany() func(ctx context.Context, box *Box, e outbox.Entry) error {
	const most = 64
	var accepted atomic.Int64
	return func(ctx context.Context, box *Box, e outbox.Entry) error {
		if err := ask(ctx, box, &e); err != nil {
			return err
		}
		if _, err := box.Accept(ctx, e); err != nil || accepted.Add(1)%most != 0 {
			return err
		}
		leased, err := box.Lease(ctx, app, most)
		for _, l := range leased {
			err = errors.Join(err, box.Settle(ctx, l.Ref()))
		}
		return err
	}
}

// spread returns a prefix with which each shard is on another server.
func spread(b *testing.B, cluster *redistest.Cluster, shards int) (prefix string) {
	b.Helper()
	for i := 0; ; i++ {
		prefix = fmt.Sprint("bench", i)
		nodes := make(map[*redistest.Server]bool)
		for shard := range shards {
			nodes[cluster.Primary(newKeys(redisclient.Tag(prefix, shard, shards)).check)] = true
		}
		if len(nodes) == shards {
			return prefix
		}
	}
}

// BenchmarkIdle measures what a gateway with 200 apps costs the Redis server that has nothing to do. An operation takes a second.
func BenchmarkIdle(b *testing.B) {
	for _, shards := range []int{1, 16} {
		b.Run(fmt.Sprint(shards), func(b *testing.B) {
			server, box := benchBox(b, "always", shards)
			ctx, cancel := context.WithTimeout(b.Context(), time.Duration(b.N)*time.Second)
			defer cancel()
			before := server.CPU(b)
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() { _, _ = box.Lease(ctx, fmt.Sprint("org.example.", i), 64) })
			}
			wg.Wait()
			b.ReportMetric((server.CPU(b)-before).Seconds()*1e6/float64(b.N), "server-µs/op")
		})
	}
}

// patient lets calls wait for a server that shares its CPUs with the benchmark.
const patient = "?read_timeout=10s&write_timeout=10s&pool_timeout=10s"

func benchBox(b *testing.B, fsync string, shards int) (*redistest.Server, *Box) {
	b.Helper()
	server := redistest.Start(b, "--appendfsync", fsync)
	return server, opened(b, &Box{Address: at(server.URL + patient), Shards: shards, MaxPerApp: 1 << 30, MaxSize: 1 << 50})
}

// forEach handles b.N pushes, many at the same time, and closes the box, which then writes its notes.
func forEach(b *testing.B, box *Box, push func(ctx context.Context, box *Box, e outbox.Entry) error) {
	b.Helper()
	var next atomic.Int64
	benchtest.Run(b, func() error { return push(b.Context(), box, benchEntry(next.Add(1))) })
	cleanup(b, box)
}

// benchEntry returns a push of a usual size. Each has another device.
func benchEntry(i int64) outbox.Entry {
	e := outbox.Entry{
		ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), App: app, Push: bytes.Repeat([]byte{'x'}, 600), PushkeyTS: 1_772_366_400_123,
		Accepted: time.Now(), Expires: time.Now().Add(time.Hour), EventUntil: time.Now().Add(time.Hour), Standing: outbox.Proven,
	}
	device := sha256.Sum256(fmt.Append(nil, i)) // the devices are divided among all shards
	copy(e.Device[:], device[:])
	binary.BigEndian.PutUint64(e.Event[:], uint64(i))
	return e
}

// ask does what each push begins with.
func ask(ctx context.Context, box *Box, e *outbox.Entry) error {
	if _, err := box.Claim(ctx, e.Device, e.Event); err != nil {
		return err
	}
	_, err := box.Waiting(ctx, app, e.Device)
	return err
}

// deliverAtOnce is a push that is delivered while its request waits.
func deliverAtOnce(ctx context.Context, box *Box, e outbox.Entry) error {
	err := ask(ctx, box, &e)
	box.Note(e.Device, e.Event, e.EventUntil)
	return err
}

// deliverLate is a push that is delivered by its first attempt, after its request was answered.
func deliverLate(ctx context.Context, box *Box, e outbox.Entry) error {
	if err := ask(ctx, box, &e); err != nil {
		return err
	}
	e.Running = true
	if _, err := box.Accept(ctx, e); err != nil {
		return err
	}
	return box.Settle(ctx, e.Ref())
}

// retry is a push that is delivered by its second attempt: accepted, leased and settled.
func retry(ctx context.Context, box *Box, e outbox.Entry) error {
	if err := ask(ctx, box, &e); err != nil {
		return err
	}
	if _, err := box.Accept(ctx, e); err != nil {
		return err
	}
	leased, err := box.Lease(ctx, app, 1)
	if err != nil {
		return err
	}
	return box.Settle(ctx, leased[0].Ref())
}

// BenchmarkMemory measures the memory that Redis needs for each pending push and for each note of a delivered event.
func BenchmarkMemory(b *testing.B) {
	for _, bm := range []struct {
		name string
		push func(ctx context.Context, box *Box, e outbox.Entry) error
	}{
		{"pending push", func(ctx context.Context, box *Box, e outbox.Entry) error {
			e.Event = [16]byte{}
			_, err := box.Accept(ctx, e)
			return err
		}},
		{"note", deliverAtOnce},
	} {
		b.Run(bm.name, func(b *testing.B) {
			server, box := benchBox(b, "no", 1)
			before := server.Memory(b)
			forEach(b, box, bm.push)
			b.ReportMetric(float64(server.Memory(b)-before)/float64(b.N), "server-B/op")
		})
	}
}
