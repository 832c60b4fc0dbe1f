package file

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// underWay returns ways to have the write of an entry under way. goOn ends it.
func underWay() map[string]func(t *testing.T, b *Box, e outbox.Entry) (accepted chan error, goOn func()) {
	begin := func(b *Box, e outbox.Entry) chan error {
		accepted := make(chan error, 1)
		go func() { accepted <- tryAccept(context.Background(), b, e) }()
		return accepted
	}
	return map[string]func(t *testing.T, b *Box, e outbox.Entry) (chan error, func()){
		"before its transaction": func(t *testing.T, b *Box, e outbox.Entry) (chan error, func()) {
			goOn := busy(t, b)
			accepted := begin(b, e)
			waitFor(t, func() bool { return queued(b) == 1 })
			return accepted, goOn
		},
		"in its transaction": func(t *testing.T, b *Box, e outbox.Entry) (chan error, func()) {
			first := busy(t, b)
			accepted := begin(b, e)
			waitFor(t, func() bool { return queued(b) == 1 })
			second := make(chan func())
			go func() { second <- busy(t, b) }()
			waitFor(t, func() bool { return queued(b) == 2 })
			first()
			return accepted, <-second
		},
	}
}

func TestAnEntryThatIsSettledWhileItIsBeingWrittenIsGone(t *testing.T) {
	t.Parallel()
	for name, begin := range underWay() {
		for how, end := range map[string]func(b *Box, r outbox.Ref) error{
			"settled":   func(b *Box, r outbox.Ref) error { return b.Settle(context.Background(), r) },
			"discarded": func(b *Box, r outbox.Ref) error { return b.Discard(context.Background(), app, r.Device, 1000) },
		} {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 3})
				older, e, later := entry("a", "older"), entry("a", "1"), entry("a", "later registration")
				older.Replace, e.Replace, e.Running, later.PushkeyTS = "room", "room", true, 2000
				older.PushkeyTS = 2000
				accept(t, b, older)
				accepted, goOn := begin(t, b, e)
				before := queued(b)
				ended := make(chan error, 1)
				go func() { ended <- end(b, e.Ref()) }()
				waitFor(t, func() bool { return queued(b) == before+1 })
				select {
				case err := <-ended:
					t.Errorf("it ended before it was on disk: %v", err)
				default:
				}
				if _, err := b.Accept(t.Context(), e); err != nil { // once more
					t.Errorf("Accept again: %v", err)
				}
				goOn()
				if err := errors.Join(<-accepted, <-ended); err != nil {
					t.Error(err)
				}
				accept(t, b, later)
				want := []string{"older", later.ID}
				if name == "in its transaction" { // it replaced the older one
					want = want[1:]
				}
				if ids := onDisk(t, b); !slices.Equal(ids, want) {
					t.Errorf("on disk are %q, want %q", ids, want)
				}
				if ids := drain(t, b); !slices.Equal(ids, want) {
					t.Errorf("it has %q, want %q", ids, want)
				}
				accept(t, b, entry("x", "1"), entry("x", "2"), entry("x", "3"))
				wantFull(t, b)
				drain(t, b)
				cleanup(t, b)
				waitFor(t, func() bool { _, shared := pool.References(b.Path); return !shared }) // no attempt holds it
			})
		}
	}
}

// Its first transaction may end before the one that removes it.
func TestNobodyGetsAnEntryThatWasSettledWhileItWasBeingWritten(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	accepted, goOn := underWay()["in its transaction"](t, b, entry("a", "1"))
	ended := make(chan error, 2)
	go func() { ended <- b.Settle(context.Background(), ref("a", "1")) }()
	waitFor(t, func() bool { return queued(b) == 1 })
	next := make(chan func())
	go func() { next <- busy(t, b) }()
	waitFor(t, func() bool { return queued(b) == 2 })
	goOn()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	last := <-next // the entry is on disk, and being removed
	if granted, _, _ := b.db.index.take(app, 10, time.Now()); len(granted) != 0 {
		t.Errorf("%s was leased", granted[0].item.id)
	}
	if waits, err := b.Waiting(within(t), app, deviceOf("a")); waits || err != nil {
		t.Errorf("Waiting: %v, %v", waits, err)
	}
	last()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := keys(t, b, entryBucket); n != 0 {
		t.Errorf("%d entries are left on disk", n)
	}
}

func TestAnEntryThatIsReleasedWhileItIsBeingWrittenIsDueThen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		end   func(b *Box, e outbox.Entry) error
		tries int
	}{
		{"released", func(b *Box, e outbox.Entry) error {
			return b.Release(context.Background(), e.Ref(), time.Now().Add(-time.Second), true)
		}, 1},
		{"released without an attempt", func(b *Box, e outbox.Entry) error {
			return b.Release(context.Background(), e.Ref(), time.Now().Add(-time.Second), false)
		}, 0},
		{"accepted again", func(b *Box, e outbox.Entry) error {
			e.Running = false
			go func() { _ = tryAccept(context.Background(), b, e) }() // it waits for the first one's write
			waitForRelease(b, e)
			return nil
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := opened(t, &Box{Path: tempPath(t)})
			e := entry("a", "1")
			e.Running = true
			accepted, goOn := underWay()["in its transaction"](t, b, e)
			if err := tt.end(b, e); err != nil {
				t.Error(err)
			}
			goOn()
			if err := <-accepted; err != nil {
				t.Error(err)
			}
			page, _, err := b.List(within(t), app, "", 1)
			if err != nil || len(page) != 1 || page[0].Attempts != tt.tries || page[0].Running {
				t.Errorf("listed are %+v, %v; want 1 with %d attempts", page, err, tt.tries)
			}
			cleanup(t, b)
			waitFor(t, func() bool { _, shared := pool.References(b.Path); return !shared }) // no attempt holds it
			b = opened(t, &Box{Path: b.Path})
			if ids := drain(t, b); !slices.Equal(ids, []string{"1"}) {
				t.Errorf("the file has %q", ids)
			}
		})
	}
}

// waitForRelease waits until no attempt is under way at the entry that is being written.
func waitForRelease(b *Box, e outbox.Entry) {
	for runs := true; runs; {
		b.db.index.mu.Lock()
		a := b.db.index.queue(e.App).arriving(e.Ref())
		runs = a != nil && a.runs
		b.db.index.mu.Unlock()
	}
}
