package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// listAll lists an app in pages of n.
func listAll(t *testing.T, b *Box, n int) (all []outbox.Waiting) {
	t.Helper()
	for cursor := ""; ; {
		page, next, err := b.List(t.Context(), app, cursor, n)
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if all = append(all, page...); next == "" {
			return all
		}
		cursor = next
	}
}

// listedIDs returns the IDs of the listed entries, sorted.
func listedIDs(t *testing.T, b *Box, n int) (ids []string) {
	t.Helper()
	for _, w := range listAll(t, b, n) {
		ids = append(ids, w.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestEachGatewaySeesWhatTheOthersDo(t *testing.T) {
	t.Parallel()
	a, b := gateways(t, redistest.Start(t))
	running := entry("b", "running")
	running.Running = true
	accept(t, a, entry("a", "leased"), entry("a", "behind"), running)
	if ids := leaseIn(t, a, patience); !slices.Equal(ids, []string{"leased"}) {
		t.Fatalf("leased %q", ids)
	}
	for _, w := range listAll(t, b, 2) {
		if w.Running != (w.ID != "behind") {
			t.Errorf("%s runs: %v", w.ID, w.Running)
		}
	}
	for dev, want := range map[string]int{"a": 1, "b": 0} {
		if n, err := b.Drop(t.Context(), app, device(dev), ""); err != nil || n != want {
			t.Errorf("Drop of %s: %d, %v; want %d", dev, n, err, want)
		}
		if found, err := b.RouseDevice(t.Context(), app, device(dev)); err != nil || !found {
			t.Errorf("RouseDevice %s: %v, %v", dev, found, err)
		}
	}
	if ids := leaseIn(t, b, 50*time.Millisecond); len(ids) != 0 {
		t.Errorf("%q were leased twice", ids)
	}
	if err := a.Release(t.Context(), ref("a", "leased"), time.Now().Add(time.Hour), true); err != nil {
		t.Fatal(err)
	}
	leased := make(chan []string)
	go func() { leased <- leaseIn(t, a, patience) }()
	if found, err := b.RouseDevice(t.Context(), app, device("a")); err != nil || !found {
		t.Errorf("RouseDevice: %v, %v", found, err)
	}
	if ids := <-leased; !slices.Equal(ids, []string{"leased"}) {
		t.Errorf("leased %q", ids)
	}
	settle(t, a, ref("a", "leased"))
	settle(t, a, running.Ref())
	for _, box := range []*Box{a, b} {
		if depths, err := box.Depths(t.Context()); err != nil || len(depths) != 0 {
			t.Errorf("pending are %v, %v", depths, err)
		}
	}
	if n := inRedis(t, a); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestALongListTakesSeveralScripts(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	var want []string
	for n := range maxShown/2 + 5 {
		for i := range 5 { // a script ends in the middle of a device
			e := entry(fmt.Sprint(n), fmt.Sprintf("%03d-%d", n, i))
			accept(t, b, e)
			want = append(want, e.ID)
		}
	}
	for _, n := range []int{7, maxShown, maxShown + 1, maxPage} {
		if ids := listedIDs(t, b, n); !slices.Equal(ids, want) {
			t.Errorf("in pages of %d, %d entries are listed, want %d", n, len(ids), len(want))
		}
	}
}

// An entry that an earlier version accepted has no time, and is listed when another one comes for its device. Entries that the earlier
// version forgot may still be named.
func TestWhatAnEarlierVersionLeftDoesNoHarm(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	c, keys, ctx := b.queue.Client, b.queue.shards[0].keys.of(app), t.Context()
	accept(t, b, entry("a", "1"))
	name := device("a")
	old := fmt.Sprintf("{\"id\":\"1\",\"app\":%q,\"device\":%q,\"expires\":1772366500000}\n{}", app, base64.StdEncoding.EncodeToString(name[:]))
	err := errors.Join(c.HSet(ctx, keys[3], "1", old).Err(), c.Del(ctx, keys[6]).Err())
	if err != nil {
		t.Fatal(err)
	}
	if depths, err := b.Depths(ctx); err != nil || len(depths) != 1 || depths[0] != (outbox.Depth{App: app, Entries: 1, Devices: 1}) {
		t.Errorf("pending are %v, %v", depths, err)
	}
	if ids := listedIDs(t, b, 10); len(ids) != 0 {
		t.Errorf("listed are %q", ids)
	}
	accept(t, b, entry("a", "2"))
	all := listAll(t, b, 10)
	if len(all) != 2 || !all[0].Accepted.IsZero() || all[0].Expires.UnixMilli() != 1772366500000 {
		t.Errorf("listed are %+v", all)
	}
	for n := range 2*maxShown + 5 {
		if err := c.ZAdd(ctx, keys[6], redis.Z{Member: deviceKey(device(fmt.Sprint("gone ", n)))}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{1, 2, 10} {
		if ids := listedIDs(t, b, n); !slices.Equal(ids, []string{"1", "2"}) {
			t.Errorf("in pages of %d, listed are %q", n, ids)
		}
	}
	if ids := drain(t, b); !slices.Equal(ids, []string{"1", "2"}) {
		t.Errorf("it had %q", ids)
	}
	if err := b.queue.shards[0].sweep(ctx); err != nil {
		t.Error(err)
	}
	if n := inRedis(t, b); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestWhatCannotBeReadIsListedAndCanBeDropped(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	accept(t, b, entry("a", "1"), entry("a", "2"), entry("a", "3"))
	c, keys := b.queue.Client, b.queue.shards[0].keys.of(app)
	if err := errors.Join(c.HSet(t.Context(), keys[3], "1", "garbage").Err(), c.HDel(t.Context(), keys[3], "2").Err()); err != nil {
		t.Fatal(err)
	}
	if ids := listedIDs(t, b, 10); !slices.Equal(ids, []string{"1", "2", "3"}) {
		t.Errorf("listed are %q", ids)
	}
	if depths, err := b.Depths(t.Context()); err != nil || len(depths) != 1 || !depths[0].Oldest.IsZero() {
		t.Errorf("pending are %v, %v", depths, err)
	}
	for _, id := range []string{"1", "2"} {
		if n, err := b.Drop(t.Context(), app, device("a"), id); err != nil || n != 1 {
			t.Errorf("Drop %s: %d, %v", id, n, err)
		}
	}
	if ids := drain(t, b); !slices.Equal(ids, []string{"3"}) {
		t.Errorf("it had %q", ids)
	}
	if n := inRedis(t, b); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestWhoAsksForAListNeedNotWaitForIt(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	accept(t, b, entry("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, list := b.List(ctx, app, "", 10)
	_, depths := b.Depths(ctx)
	for op, err := range map[string]error{"List": list, "Depths": depths} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want the context's error", op, err)
		}
	}
}

func TestACursorShowsNoMoreThanANameAndANumber(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	accept(t, b, entry("a", "1"), entry("a", "2"))
	_, next, err := b.List(t.Context(), app, "", 1)
	if want := deviceKey(device("a")) + "-1"; err != nil || next != want {
		t.Errorf("the cursor is %q, %v; want %q", next, err, want)
	}
	for _, cursor := range []string{"1", deviceKey(device("a")), strings.ToUpper(next), next[1:], "a" + next, next + "-1"} {
		if _, _, err := b.List(t.Context(), app, cursor, 1); !errors.Is(err, outbox.ErrCursor) {
			t.Errorf("the cursor %q: error %v, want ErrCursor", cursor, err)
		}
	}
}
