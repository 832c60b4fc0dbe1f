package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// noteDelay is how long a note waits for others to join. A crash loses the notes of that time.
	noteDelay = 100 * time.Millisecond
	// noteRetry is the wait after Redis took no notes.
	noteRetry = time.Second
	// maxNotes bounds how many notes wait meanwhile.
	maxNotes = 100_000
	// lastWords bounds how long a process that ends tries to write the waiting notes.
	lastWords = 2 * time.Second
)

// done is the value of an event that was delivered or accepted. Any other value is a gateway's name.
const done = "done"

// maxNoted bounds the events that Redis remembers, like those in a gateway's memory: see deliveredSet in the gateway.
const maxNoted = 1_000_000

// notes has the delivered events that are not written yet.
type notes struct {
	mu      sync.Mutex
	waiting map[[16]byte]note
	noted   chan struct{}
	most    int // in Redis

	flushing sync.Mutex // one at a time: after a flush, everything is written
}

// note has the end of an event's time. If the event is known, Redis remembers it already and must only count it.
type note struct {
	until time.Time
	known bool
}

func newNotes() *notes {
	return &notes{waiting: make(map[[16]byte]note), noted: make(chan struct{}, 1), most: maxNoted}
}

func (n *notes) add(event [16]byte, one note) {
	n.mu.Lock()
	if before, ok := n.waiting[event]; ok || len(n.waiting) < maxNotes {
		one.known = one.known && (!ok || before.known)
		n.waiting[event] = one
	}
	n.mu.Unlock()
	n.signal()
}

// signal makes writeNotes write soon.
func (n *notes) signal() {
	select {
	case n.noted <- struct{}{}:
	default:
	}
}

func (n *notes) take() map[[16]byte]note {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.waiting
	n.waiting = make(map[[16]byte]note)
	return taken
}

func (n *notes) giveBack(taken map[[16]byte]note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.Copy(taken, n.waiting) // the newer ones count
	n.waiting = taken
}

func (q *queue) note(event [16]byte, until time.Time) {
	_ = q.enter(func() error {
		q.notes.add(event, note{until: until})
		return nil
	})
}

// noteOf counts the event of an accepted entry among the remembered ones: accept.lua remembers it without counting it.
func (q *queue) noteOf(e *outbox.Entry) {
	if e.Event != ([16]byte{}) {
		q.notes.add(e.Event, note{e.EventUntil, true})
	}
}

// writeNotes writes notes and settles owed entries until the context ends, and then once more.
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
				continue // until the retry is due
			}
			pause(ctx, noteDelay)
		case <-retry:
		}
		err := q.flush(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			q.Log().Error("delivered events cannot be remembered; retrying", "error", err)
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

// flush writes notes and vouches, and settles owed entries.
func (q *queue) flush(ctx context.Context) error {
	q.notes.flushing.Lock()
	defer q.notes.flushing.Unlock()
	return errors.Join(q.flushNotes(ctx), q.flushVouches(ctx), q.settleOwed(ctx))
}

func (q *queue) flushNotes(ctx context.Context) error {
	taken := q.notes.take()
	if len(taken) == 0 {
		return nil
	}
	args := make([]any, 0, len(taken)*3)
	for event, one := range taken {
		if ms := delay(one.until); ms > 0 {
			write := "1"
			if one.known {
				write = "0"
			}
			args = append(args, hex.EncodeToString(event[:]), clamp(ms), write)
		}
	}
	base := strings.TrimSuffix(q.keys.event([16]byte{}), hex.EncodeToString(make([]byte, 16)))
	for some := range slices.Chunk(args, 3*maxBatch) {
		if err := noteScript.Run(ctx, q.Client, []string{q.keys.events}, append([]any{base, q.notes.most}, some...)...).Err(); err != nil {
			q.notes.giveBack(taken)
			return err
		}
	}
	return nil
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

// recall searches for the events that were delivered.
func (q *queue) recall(ctx context.Context, yield func(event [16]byte)) error {
	pattern := escapeGlob(q.keys.event([16]byte{}))
	pattern = pattern[:len(pattern)-2*16] + "*"
	return q.enter(func() error {
		for cursor := uint64(0); ; {
			server, err := q.Client.On(ctx, q.keys.events)
			if err != nil {
				return err
			}
			names, next, err := server.Scan(ctx, cursor, pattern, 1000).Result()
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

// eventOf returns the event of a key.
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
