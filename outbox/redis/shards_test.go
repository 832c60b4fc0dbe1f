package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// inShardOf returns an entry for a device of the same shard as a given device, or of another one.
func inShardOf(b *Box, s *shard, same bool, id string) outbox.Entry {
	for n := 0; ; n++ {
		if e := entry(fmt.Sprint(id, n), id); (b.queue.of(e.Device) == s) == same {
			return e
		}
	}
}

// onOtherServers returns a cluster's shard, and another one that another server has.
func onOtherServers(c *redistest.Cluster, b *Box) (down, up *shard) {
	down = b.queue.shards[0]
	i := slices.IndexFunc(b.queue.shards, func(s *shard) bool { return c.Primary(s.keys.apps) != c.Primary(down.keys.apps) })
	return down, b.queue.shards[i]
}

func clusterAddress(c *redistest.Cluster) redisclient.Address {
	return redisclient.Address{Cluster: &redisclient.Cluster{Servers: redisclient.Servers{Addresses: c.Addresses()}}}
}

func TestM10_ADeviceIsInOneShardWithItsEvents(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), Shards: 16})
	for n := range 40 {
		e := entry(fmt.Sprint(n), fmt.Sprint(n))
		e.Event, e.EventUntil = device(fmt.Sprint("event", n)), e.Expires
		accept(t, b, e)
		if c, err := b.Claim(t.Context(), e.Device, e.Event); c != outbox.Done || err != nil {
			t.Errorf("the event is %v, %v", c, err)
		}
		prefix := fmt.Sprintf("{matrix_push:%d}:outbox:", redisclient.Shard(e.Device, 16))
		keys := []string{prefix + "devices:" + app, prefix + "event:" + fmt.Sprintf("%x", e.Event)}
		if left := b.queue.Client.Exists(t.Context(), keys...).Val(); left != 2 {
			t.Errorf("%d of %q exist", left, keys)
		}
	}
	shards := make(map[string]bool)
	for _, name := range b.queue.Client.Keys(t.Context(), "*").Val() {
		shards[name[:strings.IndexByte(name, '}')+1]] = true
	}
	if len(shards) != 17 || !shards["{matrix_push}"] || !shards["{matrix_push:15}"] {
		t.Errorf("there are keys of %v", shards)
	}
}

func TestM12_AShardThatIsDownCostsOnlyItsDevices(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	b := provision(t, &Box{Address: clusterAddress(c)})
	var log logBuffer
	b.log = log.logger()
	open(t, b)
	down, up := onOtherServers(c, b)
	lost, kept := inShardOf(b, down, true, "lost"), inShardOf(b, up, true, "kept")
	accept(t, b, lost, kept)
	b.Vouch(lost.Device, time.Now().Add(time.Hour))
	b.Vouch(kept.Device, time.Now().Add(time.Hour))
	flushed(t, b)
	primary := c.Primary(down.keys.apps)
	for _, replica := range c.Replicas(primary) {
		replica.Kill()
	}
	primary.Kill()

	// Leases, and everything else about other devices, go on.
	if ids := leaseIn(t, b, patience); !slices.Contains(ids, kept.ID) || slices.Contains(ids, lost.ID) {
		t.Errorf("leased are %q", ids)
	}
	settle(t, b, kept.Ref())
	more := inShardOf(b, up, true, "more")
	start := time.Now()
	accept(t, b, more)
	if waits, err := b.Waiting(t.Context(), app, more.Device); !waits || err != nil {
		t.Errorf("Waiting: %v, %v", waits, err)
	}
	if got, err := b.Claim(t.Context(), more.Device, device("event")); got != outbox.Claimed || err != nil {
		t.Errorf("Claim: %v, %v", got, err)
	}
	if ids := leaseIn(t, b, patience); !slices.Equal(ids, []string{more.ID}) {
		t.Errorf("leased are %q", ids)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("that took %v", took)
	}
	settle(t, b, more.Ref())

	// Its own devices get an error, which is not ErrUnsure for long.
	waitUntil(t, "a refused connection", func() bool {
		err := tryAccept(t.Context(), b, inShardOf(b, down, true, "refused"))
		return err != nil && !errors.Is(err, outbox.ErrUnsure) && !errors.Is(err, outbox.ErrFull)
	})
	if _, err := b.Claim(t.Context(), lost.Device, device("event")); err == nil || !strings.Contains(err.Error(), "shard 0: ") {
		t.Errorf("Claim: %v", err)
	}

	waitUntil(t, "the shards of the server count as down", func() bool { return b.ShardsDown() > 0 })
	if n := b.ShardsDown(); n == len(b.queue.shards) {
		t.Errorf("all %d shards count as down", n)
	}

	// What concerns all shards tells what is missing, and does the rest.
	accept(t, b, more)
	var part *outbox.PartError
	if depths, err := b.Depths(t.Context()); !errors.As(err, &part) || len(depths) != 0 || !strings.Contains(part.Parts, "0") {
		t.Errorf("Depths: %+v, %v", depths, err)
	}
	if _, _, err := b.List(t.Context(), app, "", 10); err == nil {
		t.Error("List: no error")
	}
	later := inShardOf(b, up, true, "later")
	later.Due = time.Now().Add(time.Hour)
	accept(t, b, later)
	if err := b.Rouse(t.Context(), app); err == nil {
		t.Error("Rouse: no error")
	}
	if ids := leaseIn(t, b, patience); !slices.Contains(ids, later.ID) {
		t.Errorf("leased are %q", ids)
	}
	settle(t, b, later.Ref())
	vouched := make(map[[16]byte]bool)
	if err := b.Vouched(t.Context(), func(k [16]byte) { vouched[k] = true }); err == nil || !vouched[kept.Device] || vouched[lost.Device] {
		t.Errorf("vouched for are %v, %v", vouched, err)
	}

	primary.Restart()
	c.Wait()
	if ids := leaseIn(t, b, patience); !slices.Equal(ids, []string{lost.ID}) {
		t.Errorf("leased are %q", ids)
	}
	settle(t, b, lost.Ref())
	waitUntil(t, "the log shows it", func() bool { return strings.Contains(log.String(), "can be used again") })
	waitUntil(t, "no shard counts as down", func() bool { return b.ShardsDown() == 0 })
	if n := strings.Count(log.String(), "a shard of the outbox cannot be used"); n == 0 || n > 3*len(b.queue.shards) {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

func TestM13_AShardThatHangsDelaysNobodyAndLosesNoLease(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	address := clusterAddress(c)
	address.Cluster.ReadTimeout = caddy.Duration(5 * time.Second) // so only the outbox's own bounds count
	b := opened(t, &Box{Address: address})
	down, up := onOtherServers(c, b)
	hung := inShardOf(b, down, true, "hung")
	accept(t, b, hung)
	primary := c.Primary(down.keys.apps)
	for _, replica := range c.Replicas(primary) { // so no replica takes over
		replica.Kill()
	}
	resume := primary.Pause()
	for n := range 5 {
		e := inShardOf(b, up, true, fmt.Sprint("e", n))
		accept(t, b, e)
		start := time.Now()
		if ids := leaseIn(t, b, patience); !slices.Equal(ids, []string{e.ID}) {
			t.Fatalf("leased are %q", ids)
		}
		if took := time.Since(start); took > outbox.AskTime*9/10 {
			t.Errorf("a lease took %v while another shard hangs", took)
		}
		settle(t, b, e.Ref())
	}
	resume()
	// Whoever asked is gone. The lease that Redis granted meanwhile, if it did, was given back or lapses.
	if ids := leaseIn(t, b, outbox.LeaseTime+patience); !slices.Equal(ids, []string{hung.ID}) {
		t.Errorf("leased are %q", ids)
	}
	settle(t, b, hung.Ref())
}

// An answer comes when the call that asked has gone with the leases of another shard.
func TestALeaseThatNobodyWaitsForIsGivenBack(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), Shards: 2})
	e := inShardOf(b, b.queue.shards[0], true, "late")
	accept(t, b, e)
	leased, next, err := b.queue.shards[0].take(t.Context(), app, 10)
	if err != nil || len(leased) != 1 {
		t.Fatal(leased, err)
	}
	d := b.queue.desks.of(app)
	d.asked[0] = time.Now()
	b.queue.giveBack(d.answered(0, leased, next))
	if ids := leaseIn(t, b, patience); !slices.Equal(ids, []string{"late"}) {
		t.Errorf("leased are %q", ids)
	}
	settle(t, b, e.Ref())

	accept(t, b, e2(e, "again"))
	if leased, next, err = b.queue.shards[0].take(t.Context(), app, 10); err != nil || len(leased) != 1 {
		t.Fatal(leased, err)
	}
	got := make(chan []string)
	go func() { got <- leaseIn(t, b, patience) }()
	waitUntil(t, "somebody waits", d.waiting)
	d.mu.Lock()
	d.asked[0] = time.Now()
	d.mu.Unlock()
	if orphans := d.answered(0, leased, next); len(orphans) != 0 {
		t.Error("it is given back although somebody waits")
	}
	if ids := <-got; !slices.Equal(ids, []string{"again"}) {
		t.Errorf("leased are %q", ids)
	}
	settle(t, b, leased[0].Ref())
}

// e2 returns another entry of a device.
func e2(e outbox.Entry, id string) outbox.Entry {
	e.ID = id
	return e
}

func TestM14_IdleGatewaysAskEachShardOnceForAllApps(t *testing.T) {
	t.Parallel()
	const apps, shards = 200, 16
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), Shards: shards})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	for n := range apps {
		go func() {
			_, _ = b.Lease(ctx, fmt.Sprint(n), 10)
			ended <- struct{}{}
		}()
	}
	defer func() {
		cancel()
		for range apps {
			<-ended
		}
	}()
	scripts := func() (n int64) {
		stats := b.queue.Client.InfoMap(t.Context(), "commandstats").Val()["Commandstats"]
		for _, name := range []string{"cmdstat_evalsha", "cmdstat_eval"} {
			var calls int64
			_, _ = fmt.Sscanf(stats[name], "calls=%d", &calls)
			n += calls
		}
		return n
	}
	waitUntil(t, "each app has asked each shard", func() bool { return scripts() >= apps*shards })
	// Four polls of a shard take three intervals, or a little less if the first one was late.
	waitUntil(t, "nothing but polls is left", func() bool {
		start, before := time.Now(), scripts()
		waitUntil(t, "each shard is asked four times", func() bool { return scripts()-before >= 4*shards })
		return time.Since(start) >= 8*pollInterval/3
	})
}

func TestM15_AShardHasAnEqualPartOfTheRoom(t *testing.T) {
	t.Parallel()
	const shards, most = 5, 52
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), Shards: shards, MaxPerApp: most})
	in := make(map[*shard]int)
	refused := 0
	for n := range 4 * most {
		e := entry(fmt.Sprint(n), fmt.Sprint(n))
		switch err := tryAccept(t.Context(), b, e); {
		case errors.Is(err, outbox.ErrFull):
			refused++
		case err != nil:
			t.Fatal(err)
		default:
			in[b.queue.of(e.Device)]++
		}
	}
	for s, n := range in {
		if n != most/shards {
			t.Errorf("shard %d has %d pushes, want %d", s.number, n, most/shards)
		}
	}
	if n := inRedis(t, b); n > most || len(in) != shards || refused != 4*most-int(n) {
		t.Errorf("%d pushes are in %d shards, and %d were refused", n, len(in), refused)
	}
	if depths, err := b.Depths(t.Context()); err != nil || len(depths) != 1 || !depths[0].Full || depths[0].Entries != shards*(most/shards) {
		t.Errorf("the depths are %+v, %v", depths, err)
	}
}
