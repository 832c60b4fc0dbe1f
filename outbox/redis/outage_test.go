package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// wantFailures makes every call, and expects each to fail within a time.
func wantFailures(t *testing.T, b *Box, limit time.Duration) {
	t.Helper()
	ctx := context.Background()
	for op, fn := range map[string]func() error{
		"Accept":      func() error { return tryAccept(ctx, b, entry("z", "refused")) },
		"Settle":      func() error { return b.Settle(ctx, ref("z", "none")) },
		"Release":     func() error { return b.Release(ctx, ref("z", "none"), time.Now(), true) },
		"Discard":     func() error { return b.Discard(ctx, app, device("z"), 1000) },
		"Rouse":       func() error { return b.Rouse(ctx, app) },
		"RouseHost":   func() error { _, err := b.RouseHost(ctx, app, "one", 0); return err },
		"Waiting":     func() error { _, err := b.Waiting(ctx, app, device("a")); return err },
		"Lease":       func() error { _, err := b.Lease(ctx, app, 1); return err },
		"Claim":       func() error { _, err := b.Claim(ctx, device("a"), device("event")); return err },
		"Unclaim":     func() error { return b.Unclaim(ctx, device("a"), device("event")) },
		"Recall":      func() error { return b.Recall(ctx, func([16]byte) {}) },
		"Depths":      func() error { _, err := b.Depths(ctx); return err },
		"List":        func() error { _, _, err := b.List(ctx, app, "", 10); return err },
		"RouseDevice": func() error { _, err := b.RouseDevice(ctx, app, device("z")); return err },
		"Drop":        func() error { _, err := b.Drop(ctx, app, device("z"), ""); return err },
	} {
		start := time.Now()
		err := fn()
		if err == nil || errors.Is(err, outbox.ErrFull) || errors.Is(err, outbox.ErrNotOpen) {
			t.Errorf("%s: error %v", op, err)
		}
		if took := time.Since(start); took > limit {
			t.Errorf("%s took %v", op, took)
		}
	}
}

func TestWithoutRedisEverythingFailsSoonAndThenGoesOn(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := opened(t, &Box{Address: at(server.URL)})
	accept(t, b, entry("a", "1"), entry("b", "2"))
	leased := make(chan error)
	go func() {
		_, err := b.Lease(context.Background(), "another app", 1)
		leased <- err
	}()
	server.Kill()
	wantFailures(t, b, time.Second)
	if err := <-leased; err == nil {
		t.Error("a waiting lease continues without Redis")
	}
	b.Note(device("a"), device("noted meanwhile"), time.Now().Add(time.Hour))
	server.Restart()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got, _ := b.Claim(t.Context(), device("a"), device("noted meanwhile")); got == outbox.Done {
			break
		}
	}
	claim(t, b, "noted meanwhile", outbox.Done)
	accept(t, b, entry("a", "3"))
	ids := drain(t, b)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"1", "2", "3"}) {
		t.Errorf("it had %q", ids)
	}
}

func TestARedisThatDoesNotAnswerHoldsNothingUp(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := opened(t, &Box{Address: at(server.URL)})
	accept(t, b, entry("a", "1"))
	resume := server.Pause()
	wantFailures(t, b, 3*time.Second)
	resume()
	if n := inRedis(t, b); n < 1 {
		t.Errorf("%d entries are left", n)
	}
	accept(t, b, entry("a", "2"))
}

func TestAServerThatAnswersNonsenseGetsAndGivesNothing(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"a page":                 "HTTP/1.1 400 Bad Request\r\n\r\n",
		"noise":                  "\x00\xff\x17",
		"a negative number":      ":-7\r\n",
		"a number":               ":7\r\n",
		"a word":                 "+OK\r\n",
		"nil":                    "$-1\r\n",
		"an empty array":         "*0\r\n",
		"an array of another":    "*2\r\n*1\r\n:1\r\n*1\r\n:1\r\n",
		"a number without words": "*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
		"nothing":                "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := opened(t, &Box{Address: at(redistest.Nonsense(t, answer))})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := b.Accept(ctx, entry("z", "refused")); err == nil {
				t.Error("Accept: no error")
			}
			if got, err := b.Lease(ctx, app, 1); err == nil || len(got) > 0 {
				t.Errorf("Lease: %v, %v", got, err)
			}
			if got, err := b.Claim(ctx, device("a"), device("event")); err == nil || got != outbox.Claimed {
				t.Errorf("Claim: %v, %v", got, err)
			}
			if got, err := b.Depths(ctx); len(got) > 0 {
				t.Errorf("Depths: %v, %v", got, err)
			}
			if got, _, err := b.List(ctx, app, "", 1); err == nil {
				t.Errorf("List: %v, %v", got, err)
			}
			_ = errors.Join(b.Rouse(ctx, app), b.queue.shards[0].sweep(ctx), b.Recall(ctx, func([16]byte) { t.Error("Recall has an event") }))
			for _, change := range changes(b) {
				_ = change(ctx) // nothing panics
			}
		})
	}
}

func TestItOpensWhereRedisIsNotThereYet(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	b := provision(t, &Box{Address: at(server.URL)})
	var log logBuffer
	b.log = log.logger()
	open(t, b)
	if !strings.Contains(log.String(), "cannot be reached") {
		t.Errorf("logged %q", log.String())
	}
	wantFailures(t, b, time.Second)
	server.Restart()
	accept(t, b, entry("a", "1"))
}

func TestAFullRedisTakesNothingAndCanBeEmptied(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := opened(t, &Box{Address: at(server.URL)})
	accept(t, b, entry("a", "1"), entry("a", "2"), entry("b", "3"))
	late := entry("d", "late")
	late.Due = time.Now().Add(time.Hour)
	accept(t, b, late, entry("d", "dropped"))
	released := leaseIn(t, b, patience)
	if len(released) != 2 {
		t.Fatalf("leased %q", released)
	}
	limit := func(bytes string) {
		t.Helper()
		if err := b.queue.Client.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	e := entry("c", "refused")
	e.Event, e.EventUntil = device("event"), e.Expires
	if _, err := b.Accept(t.Context(), e); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("Accept: %v", err)
	}
	if n := inRedis(t, b); n != 5 {
		t.Errorf("%d entries, want the 5 that were accepted", n)
	}
	if err := b.Release(t.Context(), ref("a", "1"), time.Now(), true); err != nil {
		t.Errorf("Release: %v", err)
	}
	if found, err := b.RouseDevice(t.Context(), app, device("d")); err != nil || !found {
		t.Errorf("RouseDevice: %v, %v", found, err)
	}
	if err := b.Rouse(t.Context(), app); err != nil {
		t.Errorf("Rouse: %v", err)
	}
	if err := b.Discard(t.Context(), app, device("b"), 1000); err != nil {
		t.Errorf("Discard: %v", err)
	}
	if n, err := b.Drop(t.Context(), app, device("d"), "dropped"); err != nil || n != 1 {
		t.Errorf("Drop: %d, %v", n, err)
	}
	if page, _, err := b.List(t.Context(), app, "", 10); err != nil || len(page) != 3 {
		t.Errorf("listed are %v, %v", page, err)
	}
	ids := drain(t, b)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"1", "2", "late"}) {
		t.Errorf("it had %q", ids)
	}
	limit("0")
	if n := inRedis(t, b); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	claim(t, b, "event", outbox.Claimed)
	accept(t, b, e)
}

func TestExpiredEntriesAreSweptUnlessAnAttemptIsUnderWay(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, b := gateways(t, server)
	over := func(dev, id string, since time.Duration) outbox.Entry {
		e := entry(dev, id)
		e.Expires = time.Now().Add(-since)
		return e
	}
	running, later := over("c", "running", sweepGrace), over("d", "later", sweepGrace)
	running.Running, later.Due = true, time.Now().Add(time.Hour)
	gone := over("g", "gone", sweepGrace)
	gone.App = "an app that nobody serves"
	accept(t, a, over("a", "leased", sweepGrace), over("a", "behind", sweepGrace), running, gone)
	if ids := leaseIn(t, a, patience); !slices.Equal(ids, []string{"leased"}) {
		t.Fatalf("leased %q", ids)
	}
	accept(t, a, later, entry("e", "long"), over("f", "lately", sweepGrace-time.Minute))
	if err := b.queue.shards[0].sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := inRedis(t, b); n != 4 {
		t.Errorf("%d entries are left, want 4", n)
	}
	depths, err := a.Depths(t.Context())
	if err != nil || len(depths) != 1 || depths[0].App != app || depths[0].Entries != 4 || depths[0].Devices != 4 {
		t.Errorf("pending are %v, %v", depths, err)
	}
	if apps := b.queue.Client.SMembers(t.Context(), b.queue.shards[0].keys.apps).Val(); !slices.Equal(apps, []string{app}) {
		t.Errorf("left are %q", apps)
	}
	for _, r := range []outbox.Ref{ref("a", "leased"), running.Ref()} {
		if err := a.Release(t.Context(), r, time.Now(), true); err != nil {
			t.Error(err)
		}
	}
	if err := b.queue.shards[0].sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := drain(t, b)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"lately", "long"}) {
		t.Errorf("it has %q", ids)
	}
}

func TestTheSweeperRunsOnItsOwn(t *testing.T) {
	t.Parallel()
	a, b := gateways(t, redistest.Start(t))
	e := entry("a", "1")
	e.Expires = time.Now().Add(-sweepGrace)
	ctx, cancel := context.WithCancel(t.Context())
	accept(t, a, e)
	ended := make(chan struct{}, 2)
	for _, box := range []*Box{a, b} {
		go func() {
			box.queue.shards[0].sweepEvery(ctx, 100*time.Millisecond)
			ended <- struct{}{}
		}()
	}
	left := func() int64 { return a.queue.Client.HLen(t.Context(), a.queue.shards[0].keys.of(app)[3]).Val() }
	for deadline := time.Now().Add(patience); left() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-ended
	<-ended
	if n := inRedis(t, a); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestMoreThanABatchIsSweptAndRoused(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	const entries = maxBatch + 50
	for n := range entries {
		e := entry(fmt.Sprint(n), "1")
		e.Expires, e.Due = time.Now().Add(-sweepGrace), time.Now().Add(time.Hour)
		e.Running = n < 5
		accept(t, b, e)
	}
	if err := b.Rouse(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	next := b.queue.Client.ZCount(t.Context(), b.queue.shards[0].keys.of(app)[0], "("+fmt.Sprint(time.Now().UnixMilli()), "+inf").Val()
	if next != 5 {
		t.Errorf("%d devices are due later, want the leased ones", next)
	}
	if err := b.queue.shards[0].sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := inRedis(t, b); n != 5 {
		t.Errorf("%d entries are left, want the leased ones", n)
	}
	for n := range 5 {
		settle(t, b, ref(fmt.Sprint(n), "1"))
	}
}

func TestAnEntryThatCannotBeReadIsRemoved(t *testing.T) {
	t.Parallel()
	b := provision(t, &Box{Address: at(redistest.Start(t).URL)})
	var log logBuffer
	b.log = log.logger()
	open(t, b)
	accept(t, b, entry("a", "1"), entry("a", "2"), entry("b", "3"), entry("b", "4"))
	pushes := b.queue.shards[0].keys.of(app)[3]
	ctx := t.Context()
	if err := b.queue.Client.HSet(ctx, pushes, "1", "garbage").Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.queue.Client.HDel(ctx, pushes, "3").Err(); err != nil { // somebody did it by hand
		t.Fatal(err)
	}
	ids := drain(t, b)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"2", "4"}) {
		t.Errorf("it has %q", ids)
	}
	if !strings.Contains(log.String(), "unreadable") {
		t.Errorf("logged %q", log.String())
	}
	if n := inRedis(t, b); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}
