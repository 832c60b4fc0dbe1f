package gateway

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// jumped returns a time as if the wall clock had jumped: the monotonic clock shows what it showed. There is no function for that, so it
// changes the seconds inside a time.
func jumped(t *testing.T, now time.Time, by time.Duration) time.Time {
	t.Helper()
	then := now
	*(*uint64)(unsafe.Pointer(&then)) += uint64(by/time.Second) << 30
	if then.Sub(now) != 0 || then.Round(0).Sub(now.Round(0)) != by {
		t.Fatalf("%v is not %v after a jump by %v", then, now, by)
	}
	return then
}

// It has no bubble: there, times have no monotonic reading.
func TestV22_TheHistoryKeepsItsOrderWhateverTheWallClockDoes(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{0, -5 * time.Hour, 5 * time.Hour, 24 * 400 * time.Hour, -90 * time.Second} {
		t.Run(jump.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, appFor("app", always(providers.Delivered())))
			var passed, by time.Duration
			now := func() time.Time { return jumped(t, r.Shared.minute0.Add(passed), by) }
			r.Now = now
			push := func(n int) {
				for i := range n {
					wantLine(t, r.notify(event(fmt.Sprint(n, i), device("a"))), `[]`)
					r.attempts() // no goroutine reads the clock any more
				}
			}
			push(1)
			passed = 10*time.Minute + 17*time.Second
			push(2)
			by = jump
			push(3)
			passed += 2 * time.Minute
			push(4)

			h := r.History()
			want := make([]uint32, 60)
			want[47], want[57], want[59] = 1, 5, 4
			if got := h.Apps[0].Outcomes["delivered"]; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			began := now().Round(0).Add(-17*time.Second - 59*time.Minute)
			if h.Minutes != 60 || !h.Since.Equal(began) {
				t.Errorf("%d minutes since %v, want 60 since %v", h.Minutes, h.Since, began)
			}
		})
	}
}

func TestV22_AMinuteEndsOnceAndItsCountsStayTheSame(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		counts []int64 // the minute that each push sees
		at     int64   // when the history is read
		want   map[int64]uint32
	}{
		{"none", nil, 100, nil},
		{"a minute", []int64{100, 100, 100}, 100, map[int64]uint32{100: 3}},
		{"a minute each", []int64{100, 101, 102}, 102, map[int64]uint32{100: 1, 101: 1, 102: 1}},
		{"a late writer counts in the running minute", []int64{100, 102, 100, 101}, 102, map[int64]uint32{100: 1, 102: 3}},
		{"idle since", []int64{100, 100}, 159, map[int64]uint32{100: 2}},
		{"idle for an hour", []int64{100, 100}, 160, nil},
		{"idle for days", []int64{100, 101}, 10_000, nil},
		{"a reader that is late", []int64{100, 101, 160}, 159, map[int64]uint32{100: 1, 101: 1}},
		{"a reader that is too late", []int64{100, 101, 200, 201, 260, 261}, 159, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var h history
			for _, minute := range tt.counts {
				h.count("retry", 1, minute)
			}
			h.want(t, tt.at, tt.want)
			h.want(t, tt.at, tt.want)
		})
	}
}

// want wants these counts of minutes, which are all of the same kind.
func (h *history) want(t *testing.T, at int64, counts map[int64]uint32) {
	t.Helper()
	of, some := make([]uint32, 60), false
	for i := range of {
		of[i] = counts[at-59+int64(i)]
		some = some || of[i] > 0
	}
	want := make(map[string][]uint32)
	if some {
		want["retry"] = of
	}
	if got := h.hour(at); !reflect.DeepEqual(got, want) {
		t.Errorf("minute %d: got %v, want %v", at, got, want)
	}
}

func TestV22_WhateverTheTimeBetweenPushesEachCountsInItsMinute(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	steps := []int64{0, 0, 0, 1, 1, 1, 2, 30, 58, 59, 60, 61, 62, 119, 120, 121, 10_000}
	for range 50 {
		var h history
		var minute int64
		counts := make(map[int64]uint32)
		for range 50 {
			minute += steps[random.IntN(len(steps))] + random.Int64N(2)
			h.count("retry", 1, minute)
			counts[minute]++
			h.want(t, minute, counts)
			h.want(t, minute+random.Int64N(70), counts)
			if late := minute - 1; late > 0 {
				h.want(t, late, counts)
			}
		}
	}
}

func TestV22_NoPushIsLostOrCountedTwiceWhileMinutesEnd(t *testing.T) {
	t.Parallel()
	const writers, each, minutes = 8, 400, 50 // fewer than 4096: each count is exact
	for range 20 {
		var h history
		var clock, done atomic.Int64
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for i := range each {
					minute := clock.Load()
					if done.Add(1)%(writers*each/minutes) == 0 {
						clock.Add(1)
					}
					h.count(kinds[i%len(kinds)], 1, minute)
				}
			})
		}
		all.Go(func() {
			for minute := int64(0); minute < minutes; minute = clock.Load() {
				h.hour(minute)
			}
		})
		all.Wait()
		for kind, counts := range h.hour(minutes) {
			sum := uint32(0)
			for _, n := range counts {
				sum += n
			}
			if sum != writers*each/uint32(len(kinds)) {
				t.Errorf("%s: %d pushes, want %d", kind, sum, writers*each/len(kinds))
			}
		}
	}
}

func TestCountsOfMinutesThatEndedAreExactUpTo4095AndNearlyExactAbove(t *testing.T) {
	t.Parallel()
	for n := range uint32(1 << roundedBits) {
		if got := roundDown(n).value(); got != n {
			t.Errorf("%d is kept as %d", n, got)
		}
	}
	for n := uint32(4096); n < 4095<<15; n += n / 7 {
		if got := roundDown(n).value(); got > n || float64(n-got) > 0.0005*float64(n) {
			t.Errorf("%d is kept as %d", n, got)
		}
	}
	if got := roundDown(math.MaxUint32).value(); got != 4095<<15 {
		t.Errorf("the largest count is kept as %d", got)
	}
}
