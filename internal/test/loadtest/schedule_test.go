package main

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestArrivalsAreRandomInOrderAndAsManyAsAsked(t *testing.T) {
	t.Parallel()
	const rate, duration = 1000.0, 50 * time.Second
	times := arrivals(rate, duration, 1)
	if n, want := float64(len(times)), rate*duration.Seconds(); math.Abs(n-want) > 4*math.Sqrt(want) {
		t.Errorf("there are %g, want about %g", n, want)
	}
	if !slices.IsSorted(times) || times[0] < 0 || times[len(times)-1] >= duration {
		t.Error("they are not in order within the duration")
	}
	longer := 0
	for i, at := range times[1:] {
		if at-times[i] > time.Second/rate {
			longer++
		}
	}
	// In a Poisson process, 1/e of the gaps are longer than the mean.
	if part := float64(longer) / float64(len(times)); math.Abs(part-1/math.E) > 0.02 {
		t.Errorf("%g of the gaps are longer than the mean", part)
	}
}

func TestBothOfAPairGetTheSameArrivals(t *testing.T) {
	t.Parallel()
	one, same, other := arrivals(100, time.Second, 1), arrivals(100, time.Second, 1), arrivals(100, time.Second, 2)
	if !slices.Equal(one, same) || slices.Equal(one, other) {
		t.Error("the seed does not determine the times")
	}
}

func TestErrorsAreSpreadEvenly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		share float64
		want  []int64
	}{
		{0, nil},
		{0.25, []int64{4, 8, 12}},
		{0.5, []int64{2, 4, 6, 8, 10, 12}},
		{1, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
	} {
		var got []int64
		for n := range int64(12) {
			if due(n+1, test.share) {
				got = append(got, n+1)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("of a share of %g, %v are due", test.share, got)
		}
	}
}

// Guards against a side that always comes second, on a machine in the state that the first side left.
func TestEachSideBeginsEveryOtherPair(t *testing.T) {
	t.Parallel()
	o := &options{Pairs: 5, Gateway: variant{Name: "a"}, Against: variant{Name: "b"}}
	order := ""
	pairs, err := inTurn(o, func(v variant) (string, error) {
		order += v.Name
		return v.Name, nil
	})
	if err != nil || order != "abbaabbaab" {
		t.Errorf("the order is %s: %v", order, err)
	}
	if len(pairs) != o.Pairs {
		t.Errorf("there are %d pairs", len(pairs))
	}
	for i, p := range pairs {
		if p != [2]string{"a", "b"} { // the gateway is always the first in the pair, whichever was measured first
			t.Errorf("pair %d is %v", i, p)
		}
	}
}

func TestAMeasurementThatFailsEndsThePairsAndIsNamed(t *testing.T) {
	t.Parallel()
	o := &options{Pairs: 5, Gateway: variant{Name: "a"}, Against: variant{Name: "./b"}}
	measured := 0
	_, err := inTurn(o, func(v variant) (int, error) {
		if measured++; v == o.Against {
			return 0, errors.New("broken")
		}
		return 0, nil
	})
	if err == nil || !strings.Contains(err.Error(), "./b: broken") || measured != 2 {
		t.Errorf("after %d measurements: %v", measured, err)
	}
}
