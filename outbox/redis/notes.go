package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// noteDelay is how long a note waits for others to go with, which is what a crash may forget.
	noteDelay = 100 * time.Millisecond
	// noteRetry is how long to leave a Redis alone that takes no notes.
	noteRetry = time.Second
	// maxNotes bounds what waits meanwhile.
	maxNotes = 100_000
	// lastWords is how long a process that ends tries to write what waits.
	lastWords = 2 * time.Second
)

// done is the value of an event that was delivered or accepted. A gateway's name is another one.
const done = "done"

// notes are the events that were delivered and are not written down yet.
type notes struct {
	mu      sync.Mutex
	waiting map[[16]byte]time.Time // until when they count
	noted   chan struct{}
}

func newNotes() notes {
	return notes{waiting: make(map[[16]byte]time.Time), noted: make(chan struct{}, 1)}
}

func (n *notes) add(event [16]byte, until time.Time) {
	n.mu.Lock()
	if len(n.waiting) < maxNotes {
		n.waiting[event] = until
	}
	n.mu.Unlock()
	n.signal()
}

// signal has what waits written down soon.
func (n *notes) signal() {
	select {
	case n.noted <- struct{}{}:
	default:
	}
}

func (n *notes) take() map[[16]byte]time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.waiting
	n.waiting = make(map[[16]byte]time.Time)
	return taken
}

func (n *notes) giveBack(taken map[[16]byte]time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.Copy(taken, n.waiting) // the newer ones count
	n.waiting = taken
}

func (q *queue) note(event [16]byte, until time.Time) {
	_ = q.enter(func() error {
		q.notes.add(event, until)
		return nil
	})
}

// writeNotes writes notes down, and settles what is owed, until the context ends, and then once more.
func (q *queue) writeNotes(ctx context.Context) {
	for failing := false; ; {
		var retry <-chan time.Time
		if failing {
			retry = time.After(noteRetry)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), lastWords)
			defer cancel()
			if err := q.flush(last); err != nil {
				q.Log().Error("delivered events cannot be remembered", "error", err)
			}
			return
		case <-q.notes.noted:
			if failing {
				continue // until it is time
			}
			pause(ctx, noteDelay)
		case <-retry:
		}
		err := q.flush(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			q.Log().Error("delivered events cannot be remembered; it is tried again", "error", err)
		}
		failing = err != nil
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// flush writes down what waits.
func (q *queue) flush(ctx context.Context) error {
	return errors.Join(q.flushNotes(ctx), q.settleOwed(ctx))
}

func (q *queue) flushNotes(ctx context.Context) error {
	taken := q.notes.take()
	if len(taken) == 0 {
		return nil
	}
	_, err := q.Client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for event, until := range taken {
			if ms := delay(until); ms > 0 {
				p.Set(ctx, q.keys.event(event), done, time.Duration(ms)*time.Millisecond)
			}
		}
		return nil
	})
	if err != nil {
		q.notes.giveBack(taken)
	}
	return err
}

func (q *queue) claim(ctx context.Context, event [16]byte) (outbox.Claim, error) {
	reply, err := q.ask(ctx, claimScript, []string{q.keys.event(event)}, q.owner, outbox.LeaseTime.Milliseconds())
	if err != nil {
		return outbox.Claimed, err
	}
	switch n, err := reply.Int(); {
	case err != nil || n < 0 || n > 2:
		return outbox.Claimed, errNonsense
	case n == 2:
		return outbox.Done, nil
	case n == 1:
		return outbox.Taken, nil
	default:
		return outbox.Claimed, nil
	}
}

func (q *queue) unclaim(ctx context.Context, event [16]byte) error {
	_, err := q.ask(ctx, unclaimScript, []string{q.keys.event(event)}, q.owner)
	return err
}

// recall looks for the events that were delivered.
func (q *queue) recall(ctx context.Context, yield func(event [16]byte)) error {
	pattern := escapeGlob(q.keys.event([16]byte{}))
	pattern = pattern[:len(pattern)-2*16] + "*"
	return q.enter(func() error {
		for cursor := uint64(0); ; {
			names, next, err := q.Client.Scan(ctx, cursor, pattern, 1000).Result()
			if err != nil {
				return err
			}
			if err := q.yieldDone(ctx, names, yield); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
}

func (q *queue) yieldDone(ctx context.Context, names []string, yield func(event [16]byte)) error {
	if len(names) == 0 {
		return nil
	}
	values, err := q.Client.MGet(ctx, names...).Result()
	if err != nil {
		return err
	}
	for i, value := range values {
		event, err := eventOf(names[i])
		if value == done && err == nil {
			yield(event)
		}
	}
	return nil
}

// eventOf is the event of a key.
func eventOf(key string) (event [16]byte, err error) {
	name := key[strings.LastIndexByte(key, ':')+1:]
	if len(name) != hex.EncodedLen(len(event)) {
		return event, errors.New("not the key of an event")
	}
	_, err = hex.Decode(event[:], []byte(name))
	return event, err
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

func escapeGlob(s string) string { return globEscaper.Replace(s) }
