package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a connection that takes these times for its first requests, and no time for later ones.
type slow struct {
	takes []time.Duration
	// answers has the statuses of the first answers. 0 is an error. Later answers have 200.
	answers []int
	posts   int
}

func (s *slow) post(context.Context, []byte) (int, error) {
	n := s.posts
	s.posts++
	if n < len(s.takes) {
		<-time.After(s.takes[n])
	}
	if n < len(s.answers) {
		if s.answers[n] == 0 {
			return 0, errors.New("lost")
		}
		return s.answers[n], nil
	}
	return http.StatusOK, nil
}

func (*slow) close() {}

func testLoad(connections []connection, writers int) *load {
	return newLoad(connections, writers, &bodies{devices: []string{"{}"}, each: 1})
}

// Guards against coordinated omission. A generator that waits for a slow answer, and measures only what it sends afterwards, would show one slow
// answer where homeservers had three.
func TestInAnOpenLoopWhatWaitsBehindASlowAnswerIsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := testLoad([]connection{&slow{takes: []time.Duration{time.Second}}}, 1)
		got := l.open(t.Context(), []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 5 * time.Second})
		for percent, want := range map[float64]float64{100: 1000, 75: 900, 50: 800} {
			if ms := quantile(percent)(&measurement{tally: got}); ms < want*0.999 || ms > want*1.001 {
				t.Errorf("p%g is %g ms, want %g", percent, ms, want)
			}
		}
		if got.Answered != 4 || got.Elapsed != 5*time.Second {
			t.Errorf("%d were answered in %v", got.Answered, got.Elapsed)
		}
	})
}

func TestInAClosedLoopALatencyIsFromSendingToAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		connections := []connection{
			&slow{takes: []time.Duration{time.Second, time.Second}},
			&slow{takes: []time.Duration{2 * time.Second}},
		}
		got := testLoad(connections, 2).closed(t.Context(), 1500*time.Millisecond)
		if got.Answered != 3 || got.Elapsed != 2*time.Second {
			t.Errorf("%d were answered in %v", got.Answered, got.Elapsed)
		}
		if ms := quantile(50)(&measurement{tally: got}); ms < 999 || ms > 1001 {
			t.Errorf("the median is %g ms", ms)
		}
	})
}

func TestOnlyWhatIsAnsweredWith200HasALatency(t *testing.T) {
	t.Parallel()
	c := &slow{answers: []int{http.StatusOK, http.StatusServiceUnavailable, http.StatusBadRequest, 0, http.StatusServiceUnavailable}}
	got := testLoad([]connection{c}, 1).open(t.Context(), make([]time.Duration, 5))
	if got.Answered != 1 || got.Refused != 2 || got.Failed != 2 || got.all() != 5 || got.Latency.TotalCount() != 1 {
		t.Errorf("answered %d, refused %d, failed %d, with a latency %d", got.Answered, got.Refused, got.Failed, got.Latency.TotalCount())
	}
}

func TestTheLoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := testLoad([]connection{new(slow)}, 1).open(ctx, []time.Duration{0, time.Hour})
		if got.Answered != 1 || got.Elapsed != time.Second {
			t.Errorf("%d were answered in %v", got.Answered, got.Elapsed)
		}
	})
}

func TestEveryConnectionIsUsed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                 string
		connections, writers int
		want                 []int
	}{
		{"a writer takes turns on its connections", 4, 2, []int{2, 2, 2, 2}},
		{"writers share a connection", 2, 4, []int{4, 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			connections := make([]connection, test.connections)
			for i := range connections {
				connections[i] = new(slow)
			}
			l := testLoad(connections, test.writers)
			for _, writer := range l.writers {
				one := &load{writers: [][]connection{writer}, bodies: l.bodies}
				one.open(t.Context(), make([]time.Duration, 8/test.writers))
			}
			var got []int
			for _, c := range connections {
				got = append(got, c.(*slow).posts)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the connections had %v requests", got)
			}
		})
	}
}
