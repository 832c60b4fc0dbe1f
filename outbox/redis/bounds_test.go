package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// flushed writes waiting notes and vouches.
func flushed(t *testing.T, b *Box) {
	t.Helper()
	if err := b.queue.each(func(s *shard) error { return s.flush(t.Context()) }); err != nil {
		t.Fatal(err)
	}
}

func recalled(t *testing.T, b *Box) map[[16]byte]bool {
	t.Helper()
	got := make(map[[16]byte]bool)
	if err := b.Recall(t.Context(), func(event [16]byte) { got[event] = true }); err != nil {
		t.Errorf("Recall: %v", err)
	}
	return got
}

func vouchedFor(t *testing.T, b *Box) map[[16]byte]bool {
	t.Helper()
	got := make(map[[16]byte]bool)
	if err := b.Vouched(t.Context(), func(key [16]byte) { got[key] = true }); err != nil {
		t.Errorf("Vouched: %v", err)
	}
	return got
}

func TestBeyondTheBoundTheEventsGoThatEndFirst(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := gateways(t, s)
	const most = 100
	a.queue.shards[0].notes.most.Store(most)
	b.queue.shards[0].notes.most.Store(most)
	event := func(n int) [16]byte { return device(fmt.Sprint("event ", n)) }
	until := time.Now().Add(time.Hour)
	for n := range most {
		a.Note(device("a"), event(n), until.Add(time.Duration(n)*time.Second))
	}
	flushed(t, a)
	if n := len(recalled(t, a)); n != most {
		t.Errorf("%d events are recalled, want all", n)
	}
	// Those of another gateway count, and so do those of entries.
	for n := most; n < most+20; n++ {
		b.Note(device("a"), event(n), until.Add(time.Duration(n)*time.Second))
	}
	flushed(t, b)
	for n := most + 20; n < most+40; n++ {
		e := entry("a", fmt.Sprint(n))
		e.Event, e.EventUntil = event(n), until.Add(time.Duration(n)*time.Second)
		accept(t, a, e)
	}
	flushed(t, a)
	got := recalled(t, a)
	for n := range most + 40 {
		if want := n >= 40; got[event(n)] != want {
			t.Errorf("event %d is recalled: %v", n, got[event(n)])
		}
	}
	// An event that is noted again displaces no other.
	for range 5 {
		a.Note(device("a"), event(most+39), until.Add(time.Hour))
		flushed(t, a)
	}
	if n := len(recalled(t, a)); n != most {
		t.Errorf("%d events are recalled", n)
	}
}

func TestM41_EachShardRemembersAsManyEventsAsTheOnlyOneUnlessTheConfigurationLimitsThem(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		box  Box
		want int64
	}{
		{Box{}, 1_000_000}, {Box{Shards: 16}, 1_000_000}, {Box{Shards: 16, MaxEvents: 1600}, 100}, {Box{Shards: 16, MaxEvents: 1}, 1},
	} {
		tt.box.Address = at(redistest.Start(t).URL)
		b := opened(t, &tt.box)
		for _, s := range b.queue.shards {
			if n := s.notes.most.Load(); n != tt.want {
				t.Errorf("with shards %d and max_events %d, a shard remembers %d", tt.box.Shards, tt.box.MaxEvents, n)
			}
		}
	}
	b := &Box{Address: at("redis://localhost"), MaxEvents: -1}
	if err := tryProvision(t, b); err == nil || !strings.Contains(err.Error(), "max_events") {
		t.Errorf("a negative number: %v", err)
	}
}

func TestM41_EventsThatRedisForgetsEarlyAreReported(t *testing.T) {
	t.Parallel()
	var forgotten atomic.Int64
	b := provision(t, &Box{Address: at(redistest.Start(t).URL), Shards: 2, MaxEvents: 20})
	b.OnForget(func(events int) { forgotten.Add(int64(events)) })
	open(t, b)
	note := func(from, to int, until time.Duration) {
		for n := from; n < to; n++ {
			b.queue.shards[0].notes.add(device(fmt.Sprint(n)), note{until: time.Now().Add(until)})
		}
		flushed(t, b)
	}
	end := time.Now().Add(100 * time.Millisecond)
	note(0, 10, time.Until(end))
	waitUntil(t, "these events have ended", func() bool { return len(recalled(t, b)) == 0 })
	note(10, 20, time.Hour) // in place of those that have ended
	if n := forgotten.Load(); n != 0 {
		t.Errorf("%d events that had ended were reported", n)
	}
	note(20, 27, 2*time.Hour)
	if n := forgotten.Load(); n != 7 {
		t.Errorf("%d events were reported, want 7", n)
	}
	if n := len(recalled(t, b)); n != 10 {
		t.Errorf("%d events are recalled", n)
	}
}

func TestAnEventThatGoesIsNotTakenFromWhoHasItByNow(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	b.queue.shards[0].notes.most.Store(1)
	first, second := device("first"), device("second")
	b.Note(device("a"), first, time.Now().Add(time.Minute))
	flushed(t, b)
	if err := b.queue.Client.Del(t.Context(), b.queue.shards[0].keys.event(first)).Err(); err != nil { // its time is over
		t.Fatal(err)
	}
	if c, err := b.Claim(t.Context(), device("a"), first); c != outbox.Claimed || err != nil {
		t.Fatal(c, err)
	}
	b.Note(device("a"), second, time.Now().Add(time.Hour))
	flushed(t, b)
	if v, err := b.queue.Client.Get(t.Context(), b.queue.shards[0].keys.event(first)).Result(); v != b.queue.owner || err != nil {
		t.Errorf("the claim is %q, %v", v, err)
	}
}

func TestWhatCountsEventsAndVouchesIsGoneWithTheLast(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	until := time.Now().Add(time.Hour)
	b.Note(device("a"), device("a"), until)
	b.Note(device("a"), device("b"), until.Add(time.Hour))
	b.Vouch(device("a"), until)
	b.Vouch(device("b"), until.Add(time.Hour))
	flushed(t, b)
	for _, key := range []string{b.queue.shards[0].keys.events, b.queue.shards[0].keys.vouched} {
		left, err := b.queue.Client.PTTL(t.Context(), key).Result()
		if want := time.Until(until.Add(time.Hour)); err != nil || left > want+time.Second || left < want-time.Minute {
			t.Errorf("%s is left for %v, %v", key, left, err)
		}
	}
}

func TestBeyondTheBoundTheVouchesGoThatEndFirst(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := gateways(t, s)
	const most = 100
	a.queue.shards[0].vouches.most, b.queue.shards[0].vouches.most = most, most
	until := time.Now().Add(time.Hour)
	for n := range 2 * most {
		box := []*Box{a, b}[n%2]
		box.Vouch(device(fmt.Sprint(n)), until.Add(time.Duration((n*7)%(2*most))*time.Minute))
		if n%20 == 0 {
			flushed(t, box)
		}
	}
	flushed(t, a)
	flushed(t, b)
	got := vouchedFor(t, a)
	for n := range 2 * most {
		if want := (n*7)%(2*most) >= most; got[device(fmt.Sprint(n))] != want {
			t.Errorf("%d is vouched for: %v", n, got[device(fmt.Sprint(n))])
		}
	}
	if n, err := a.queue.Client.ZCard(t.Context(), a.queue.shards[0].keys.vouched).Result(); n != most || err != nil {
		t.Errorf("%d are in Redis, %v", n, err)
	}
}

func TestNotesAndVouchesThatRedisDoesNotTakeWait(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), Prefix: rand.Text()})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	b.queue.shards[0].notes.add(device("event"), note{until: time.Now().Add(time.Hour)})
	b.queue.shards[0].vouches.add(device("a"), time.Now().Add(time.Hour))
	if err := b.queue.shards[0].flush(over); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	b.queue.shards[0].vouches.add(device("b"), time.Now().Add(time.Hour))
	flushed(t, b)
	if n := len(recalled(t, b)); n != 1 {
		t.Errorf("%d events are recalled", n)
	}
	if n := len(vouchedFor(t, b)); n != 2 {
		t.Errorf("%d are vouched for", n)
	}
}

func TestWhatGathersWhileRedisIsGoneIsBounded(t *testing.T) {
	t.Parallel()
	n, v := newNotes(1), newVouches(1)
	for i := range maxNotes + 10 {
		key := device(fmt.Sprint(i))
		n.add(key, note{until: time.Now().Add(time.Hour)})
		v.add(key, time.Now().Add(time.Hour))
	}
	if len(n.waiting) != maxNotes || len(v.waiting) != maxNotes {
		t.Errorf("%d notes and %d vouches wait, want %d each", len(n.waiting), len(v.waiting), maxNotes)
	}
}

// The user that docs/redis.md describes may do all of this.
func TestTheUserOfThePageMayNoteAndVouch(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := opened(t, &Box{Address: at(s.URL)})
	if err := admin.queue.Client.Do(t.Context(), "ACL", "SETUSER", "push", "on", ">password", "~{matrix_push}:*",
		"+@read", "+@write", "+@scripting", "+@connection", "+time", "+info").Err(); err != nil {
		t.Fatal(err)
	}
	b := opened(t, &Box{Address: at(strings.Replace(s.URL, "unix://", "unix://push:password@", 1))})
	b.queue.shards[0].notes.most.Store(1)
	b.Note(device("a"), device("event"), time.Now().Add(time.Minute))
	b.Note(device("a"), device("another"), time.Now().Add(time.Hour))
	b.Vouch(device("a"), time.Now().Add(time.Hour))
	flushed(t, b)
	if len(recalled(t, b)) != 1 || len(vouchedFor(t, b)) != 1 {
		t.Errorf("%d events are recalled, and %d are vouched for", len(recalled(t, b)), len(vouchedFor(t, b)))
	}
}

func TestM15_StrangersHaveNoMoreRoomInSeveralShards(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 3, 16, 1024} {
		b := Box{Shards: shards, MaxPerApp: 10_000_000, MaxSize: 1 << 40}
		room := b.bounds().OfStrangers()
		room.Entries, room.Size = room.Entries*shards, room.Size*int64(shards)
		if room.Entries > 25_000 || room.Entries < 24_000 || room.Size > 64<<20 || room.Size < 63<<20 {
			t.Errorf("%d shards have room for %+v", shards, room)
		}
	}
}

func TestM15_AShardWithLittleRoomIsReported(t *testing.T) {
	t.Parallel()
	address := at(redistest.Start(t).URL)
	for _, tt := range []struct {
		shards int
		size   int64
		want   bool
	}{{1, 50_000, false}, {16, 1_000_000, true}, {16, 10_000_000, false}} {
		b := provision(t, &Box{Address: address, Prefix: fmt.Sprint(tt.shards, tt.size), Shards: tt.shards, MaxSize: tt.size})
		var log logBuffer
		b.log = log.logger()
		open(t, b)
		if got := strings.Contains(log.String(), "room for few large pushes"); got != tt.want {
			t.Errorf("with %d shards and %d bytes, it was reported: %v", tt.shards, tt.size, got)
		}
	}
}
