package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// changes returns all calls that change something, for a device that has no entries.
func changes(b *Box) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"Accept":      func(ctx context.Context) error { return tryAccept(ctx, b, entry("z", "accepted")) },
		"Settle":      func(ctx context.Context) error { return b.Settle(ctx, ref("z", "none")) },
		"Release":     func(ctx context.Context) error { return b.Release(ctx, ref("z", "none"), time.Now(), true) },
		"Discard":     func(ctx context.Context) error { return b.Discard(ctx, app, device("y"), 1000) },
		"Rouse":       func(ctx context.Context) error { return b.Rouse(ctx, app) },
		"RouseHost":   func(ctx context.Context) error { _, err := b.RouseHost(ctx, app, "one", 1); return err },
		"RouseDevice": func(ctx context.Context) error { _, err := b.RouseDevice(ctx, app, device("z")); return err },
		"Drop":        func(ctx context.Context) error { _, err := b.Drop(ctx, app, device("y"), ""); return err },
	}
}

func TestALostAnswerIsUnsureAndARefusalIsNot(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := opened(t, &Box{Address: at(server.URL + "?read_timeout=20s&write_timeout=20s")})
	accept(t, b, entry("a", "1")) // there is a connection
	resume := server.Pause()
	for name, change := range changes(b) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		err := change(ctx)
		cancel()
		if took := time.Since(began); !errors.Is(err, outbox.ErrUnsure) || took > 5*time.Second {
			t.Errorf("%s: error %v after %v, want ErrUnsure when the context ends", name, err, took)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, waiting := b.Waiting(ctx, app, device("a"))
	_, claim := b.Claim(ctx, device("a"), device("event"))
	if took := time.Since(began); waiting == nil || claim == nil || took > 5*time.Second {
		t.Errorf("questions ended with %v and %v after %v", waiting, claim, took)
	}
	resume()
	accept(t, b, entry("z", "accepted")) // makes sure
	if n := inRedis(t, b); n != 2 {
		t.Errorf("%d entries are there, want 2", n)
	}

	server.Kill()
	for name, change := range changes(b) {
		_ = change(t.Context()) // closes the remaining connections
		if err := change(t.Context()); err == nil || errors.Is(err, outbox.ErrUnsure) {
			t.Errorf("%s: error %v, want one that is not ErrUnsure: there is nobody to ask", name, err)
		}
	}
}

func TestAFullRedisIsNotUnsure(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	if err := b.queue.Client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Accept(t.Context(), entry("a", "1")); err == nil || errors.Is(err, outbox.ErrUnsure) {
		t.Errorf("Accept: error %v, want OOM, which is not ErrUnsure", err)
	}
	if err := errors.Join(b.Settle(t.Context(), ref("a", "1")), b.Discard(t.Context(), app, device("a"), 1000)); err != nil {
		t.Errorf("Settle and Discard: %v", err)
	}
}

// waitUntil waits until a condition holds.
func waitUntil(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it never happens", what)
		}
	}
}

// A delivered push must not be delivered again: an interrupted Settle is repeated until Redis accepts it.
func TestASettleThatWasCutOffIsRepeated(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := opened(t, &Box{Address: at(server.URL)})
	accept(t, b, entry("a", "1"), entry("a", "2"))
	if ids := leaseIn(t, b, patience); !slices.Equal(ids, []string{"1"}) {
		t.Fatalf("leased %q", ids)
	}
	server.Kill()
	if err := b.Settle(t.Context(), ref("a", "1")); err == nil {
		t.Error("Settle without Redis returns no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Settle(ctx, ref("b", "late")); !errors.Is(err, context.Canceled) {
		t.Errorf("Settle: error %v, want the context's error", err)
	}
	server.Restart()
	waitUntil(t, "the entry is gone", func() bool {
		return b.queue.Client.HLen(t.Context(), b.queue.shards[0].keys.of(app)[3]).Val() == 1 && len(b.queue.shards[0].owed.all()) == 0
	})
	accept(t, b, entry("b", "late")) // it was settled first
	if ids := drain(t, b); !slices.Equal(ids, []string{"2"}) {
		t.Errorf("it had %q", ids)
	}
}

func TestAnEntryWhoseSettleIsOwedIsNotHandedOut(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	accept(t, b, entry("a", "1"), entry("a", "2"))
	b.queue.shards[0].owed.add(ref("a", "1"))
	if ids := drain(t, b); !slices.Equal(ids, []string{"2"}) {
		t.Errorf("it had %q", ids)
	}
}

// An interrupted Accept may arrive when the server continues, before or after the Settle.
func TestAnAcceptThatWasCutOffComesToNothingWhenItWasSettled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := opened(t, &Box{Address: at(server.URL)})
	for n := range 5 {
		resume := server.Pause()
		e := entry("a", fmt.Sprint(n))
		e.Running = true
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := b.Accept(ctx, e); !errors.Is(err, outbox.ErrUnsure) {
			t.Errorf("Accept: error %v, want ErrUnsure", err)
		}
		settleErr := b.Settle(ctx, e.Ref())
		cancel()
		resume()
		if settleErr != nil {
			settle(t, b, e.Ref())
		}
		waitUntil(t, "nothing is owed", func() bool { return len(b.queue.shards[0].owed.all()) == 0 })
		if n := inRedis(t, b); n != 0 {
			t.Errorf("%d entries are there", n)
		}
		accept(t, b, e) // comes late, in another connection
		if n := inRedis(t, b); n != 0 {
			t.Errorf("%d entries are there", n)
		}
	}
}

// hostsInRedis compares the hosts' devices with the hosts of the devices' entries.
func hostsInRedis(t *testing.T, b *Box) {
	t.Helper()
	c, keys, ctx := b.queue.Client, b.queue.shards[0].keys.of(app), context.Background()
	var want []string
	for key, packed := range c.HGetAll(ctx, keys[2]).Val() {
		var d struct{ Items []struct{ Host string } }
		if err := json.Unmarshal([]byte(packed), &d); err != nil {
			t.Fatal(err)
		}
		if host := d.Items[0].Host; host != "" {
			want = append(want, host+" "+key)
		}
	}
	slices.Sort(want)
	got := c.ZRange(ctx, keys[7], 0, -1).Val()
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the hosts' devices are %q, want %q", got, want)
	}
}

func TestManyDevicesOfAHostAreRousedInBatches(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	const devices = maxBatch + 50
	for _, host := range []string{"one", ""} {
		for n := range devices {
			e := entry(host+fmt.Sprint(n), "1")
			e.Host, e.Due = host, time.Now().Add(time.Hour)
			e.Running = n < 5
			accept(t, b, e)
		}
	}
	hostsInRedis(t, b)
	rouse := func(host string, most, want int) {
		t.Helper()
		if n, err := b.RouseHost(t.Context(), app, host, most); n != want || err != nil {
			t.Errorf("RouseHost %q, at most %d: %d, %v; want %d", host, most, n, err, want)
		}
	}
	for _, host := range []string{"one", ""} {
		rouse(host, 3, 3)
		rouse(host, maxBatch+10, maxBatch+10)
		rouse(host, 0, devices-5)
		rouse(host, devices, devices-5)
	}
	accept(t, b, entry("x", "1"))
	if err := b.Discard(t.Context(), app, device("one7"), 1000); err != nil {
		t.Error(err)
	}
	hostsInRedis(t, b)
	rouse("one", 0, devices-6)
	rouse("one ", 0, 0)
	rouse("on", 0, 0)
}

// A gateway of an earlier version, beside this one, does not know hosts.
func TestDevicesThatAnEarlierVersionForgotAreNotTheHostsAnyMore(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	c, keys, ctx := b.queue.Client, b.queue.shards[0].keys.of(app), t.Context()
	e := entry("a", "1")
	e.Host, e.Due = "one", time.Now().Add(time.Hour)
	accept(t, b, e)
	stale := []redis.Z{{Member: "one " + deviceKey(device("gone"))}, {Member: "two " + deviceKey(device("a"))}}
	if err := c.ZAdd(ctx, keys[7], stale...).Err(); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"one": 1, "two": 0} {
		if n, err := b.RouseHost(ctx, app, host, 0); n != want || err != nil {
			t.Errorf("RouseHost %q: %d, %v; want %d", host, n, err, want)
		}
	}
	hostsInRedis(t, b)
	if err := c.ZAdd(ctx, keys[7], redis.Z{Member: "three " + deviceKey(device("gone"))}).Err(); err != nil {
		t.Fatal(err)
	}
	drain(t, b)
	if err := b.queue.shards[0].sweep(ctx); err != nil {
		t.Error(err)
	}
	if left := c.Exists(ctx, keys...).Val(); left != 0 {
		t.Errorf("%d keys of the app are left", left)
	}
}

func TestWhatIsGoneIsRememberedAsLongAsALease(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	settle(t, b, ref("a", "1"))
	if err := b.Discard(t.Context(), app, device("a"), 1000); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{b.queue.shards[0].keys.gone(ref("a", "1")), b.queue.shards[0].keys.discarded(app, device("a"))} {
		if left := b.queue.Client.PTTL(t.Context(), key).Val(); left > outbox.LeaseTime || left < outbox.LeaseTime-patience {
			t.Errorf("%s ends in %v, want %v", key, left, outbox.LeaseTime)
		}
	}
}
