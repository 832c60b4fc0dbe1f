package file

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// held is a store whose loading is held up.
type held struct {
	*Store
	clock *testClock
	log   *syncBuffer
	steps chan halt
	full  atomic.Bool  // whether the disk is full
	over  atomic.Int64 // how many steps there were after it was closed
}

// halt is a step at which loading waits. It continues when the channel is closed.
type halt struct {
	step  step
	shard int
	goOn  chan struct{}
}

// openHeld opens a store whose loading waits at the first step of the first shard.
func openHeld(t *testing.T, path string, c *testClock) *held {
	t.Helper()
	c.enough = over
	h := &held{Store: &Store{Path: path, clock: c.clock()}, clock: c, log: new(syncBuffer), steps: make(chan halt)}
	provision(t, h.Store)
	h.Store.log = slog.New(slog.NewTextHandler(h.log, nil))
	h.db.step = func(ctx context.Context, s step, shard int) {
		if ctx.Err() != nil {
			h.over.Add(1)
			return
		}
		goOn := make(chan struct{})
		select {
		case h.steps <- halt{s, shard, goOn}:
			select {
			case <-goOn:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
	}
	if err := h.Open(t.Context()); err != nil {
		t.Fatalf("Open: %v", err)
	}
	h.db.write = func(fn func(*bbolt.Tx) error) error {
		if !h.full.Load() {
			return h.db.bolt.Batch(fn)
		}
		return h.db.bolt.Update(func(tx *bbolt.Tx) error { return errors.Join(fn(tx), syscall.ENOSPC) })
	}
	return h
}

// loadTo lets loading continue to a step of a shard, and returns that halt.
func (h *held) loadTo(s step, shard int) halt {
	for {
		at := <-h.steps
		if at.step == s && at.shard == shard {
			return at
		}
		close(at.goOn)
	}
}

// loadAll lets loading end.
func (h *held) loadAll() {
	for {
		select {
		case at := <-h.steps:
			close(at.goOn)
		case <-h.clock.waits: // the sweeper waits
			return
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// filled returns the path of a file with records 0 to n-1, seen at the clock's time.
func filled(t *testing.T, n int, c *testClock) string {
	t.Helper()
	s := opened(t, &Store{Path: tempPath(t), clock: clock{now: c.now}})
	fill(t, s, n, c.now())
	cleanup(t, s)
	return s.Path
}

// mark returns the mark of a verdict at the test clock's start.
func mark(condemned uint32) rejected.Mark {
	return rejected.Mark{Condemned: condemned, ProbeAt: uint32(newTestClock().at.Add(time.Hour).Unix())}
}

func (h *held) expectMark(t *testing.T, when string, want rejected.Mark) {
	t.Helper()
	marks := make([]rejected.Mark, 1)
	if err := h.Lookup(t.Context(), []rejected.Key{key(1)}, marks); err != nil || marks[0] != want {
		t.Errorf("%s: %+v, %v; want %+v", when, marks[0], err, want)
	}
}
