package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load is the homeservers: a number of writers, each with its connections.
type load struct {
	writers [][]connection
	bodies  sequence
	// sent counts the notifications, which makes each one unique.
	sent atomic.Int64
}

// sequence makes the bodies of notifications. It is safe for concurrent use.
type sequence interface {
	// next returns the nth body.
	next(n int64) []byte
}

// newLoad shares the connections among the writers. With fewer connections than writers, several write on the same one.
func newLoad(connections []connection, writers int, b sequence) *load {
	l := &load{writers: make([][]connection, writers), bodies: b}
	for i := range max(len(connections), writers) {
		w := i % writers
		l.writers[w] = append(l.writers[w], connections[i%len(connections)])
	}
	return l
}

func (l *load) close() {
	for _, connections := range l.writers {
		for _, c := range connections {
			c.close()
		}
	}
}

// tally has the results of a measurement's notifications.
type tally struct {
	// Answered counts those answered with 200, Refused those answered with 503. Failed counts those with another answer or none.
	Answered, Refused, Failed int64
	// Elapsed is the time from the first one until the last was answered.
	Elapsed time.Duration
	// Latency has the latencies of those that were answered with 200, in microseconds.
	Latency *hdrhistogram.Histogram

	mu sync.Mutex
}

// longest is the longest latency that is recorded. Longer ones count as this.
const longest = 10 * time.Minute

func newTally() *tally {
	return &tally{Latency: hdrhistogram.New(1, longest.Microseconds(), 3)}
}

// add counts one notification.
func (t *tally) add(status int, err error, latency time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && status == http.StatusOK:
		t.Answered++
		_ = t.Latency.RecordValue(min(max(latency, time.Microsecond), longest).Microseconds())
	case err == nil && status == http.StatusServiceUnavailable:
		t.Refused++
	default:
		t.Failed++
	}
}

// all returns the number of notifications.
func (t *tally) all() int64 { return t.Answered + t.Refused + t.Failed }

// closed sends for the duration. Each writer sends the next notification when the previous one is answered. A latency is the time from sending to
// the answer.
func (l *load) closed(ctx context.Context, duration time.Duration) *tally {
	begin := time.Now()
	return l.run(func(write func(time.Time)) {
		for time.Since(begin) < duration && ctx.Err() == nil {
			write(time.Now())
		}
	})
}

// open sends at the given times after now. The next free writer sends, at once if it is already late. A latency is the time from when the
// notification was due to its answer. So notifications that a slow answer delays count as late (coordinated omission).
func (l *load) open(ctx context.Context, times []time.Duration) *tally {
	begin := time.Now()
	var next atomic.Int64
	return l.run(func(write func(time.Time)) {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(times) || !until(ctx, begin.Add(times[i])) {
				return
			}
			write(begin.Add(times[i]))
		}
	})
}

// run runs every writer, and adds up their results. A writer passes to write when the notification was due.
func (l *load) run(writer func(write func(due time.Time))) *tally {
	t, begin := newTally(), time.Now()
	var all sync.WaitGroup
	for _, connections := range l.writers {
		turn := 0
		all.Go(func() {
			writer(func(due time.Time) {
				c := connections[turn%len(connections)]
				turn++
				status, err := c.post(context.Background(), l.bodies.next(l.sent.Add(1)))
				t.add(status, err, time.Since(due))
			})
		})
	}
	all.Wait()
	t.Elapsed = time.Since(begin)
	return t
}

// until waits for a time. It returns false if the context ends earlier.
func until(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
