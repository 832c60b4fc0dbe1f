package file

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

func (d *database) lookup(ctx context.Context, keys []rejected.Key, marks []rejected.Mark) error {
	if !d.Opened() {
		clear(marks)
		return rejected.ErrNotOpen
	}
	now := second(d.clock.now())
	missing, crowded := d.known(keys, marks, now)
	if len(missing) > 0 {
		c, err := d.ask(ctx, keys, missing, marks, now)
		if err != nil {
			clear(marks)
			return err
		}
		crowded = crowded || c
	}
	d.crowding(crowded)
	return nil
}

// lookupNow looks up the keys if all are loaded; otherwise it returns false.
func (d *database) lookupNow(keys []rejected.Key, marks []rejected.Mark) bool {
	if !d.Opened() {
		return false
	}
	missing, crowded := d.known(keys, marks, second(d.clock.now()))
	d.crowding(crowded)
	return len(missing) == 0
}

// known fills in the marks of the keys that are loaded, and returns the indexes of the others.
func (d *database) known(keys []rejected.Key, marks []rejected.Mark, now uint32) (missing []int, crowded bool) {
	for i, key := range keys {
		m, c, loaded := d.index.lookup(key, now)
		if !loaded {
			missing = append(missing, i)
			continue
		}
		marks[i], crowded = m, crowded || c
	}
	return missing, crowded
}

// crowding makes lookups be written if it is time.
func (d *database) crowding(crowded bool) {
	if !crowded {
		return
	}
	select {
	case d.crowd <- struct{}{}:
	default: // a signal is on its way
	}
}

// ask asks the file for the keys that are not loaded yet.
func (d *database) ask(ctx context.Context, keys []rejected.Key, missing []int, marks []rejected.Mark, now uint32) (crowded bool, err error) {
	asked := make([]rejected.Key, len(missing)) // the caller's keys may change once the context is done
	for n, i := range missing {
		asked[n] = keys[i]
	}
	answers, err := until.Run(ctx, d.reads, func() ([]answer, error) { return d.answers(asked) })
	if err != nil {
		return false, d.late(ctx, err)
	}
	for n, i := range missing {
		marks[i] = answers[n].mark
		if answers[n].found && d.index.see(keys[i], now) {
			crowded = true
		}
	}
	return crowded, nil
}

// answer is a mark, and whether it was found on disk. Lookups can be written only of a mark on disk.
type answer struct {
	mark  rejected.Mark
	found bool
}

// answers returns the marks of keys that are not loaded. A verdict since the start counts even if the file cannot be read.
func (d *database) answers(keys []rejected.Key) ([]answer, error) {
	answers := make([]answer, len(keys))
	for i, key := range keys {
		since, _ := d.index.peek(key)
		var disk rejected.Mark
		err := d.view(func(b *bbolt.Bucket) error {
			disk = d.onDisk(b, key)
			return nil
		})
		mark := grown(since, disk)
		if err != nil && mark == (rejected.Mark{}) {
			return nil, err
		}
		answers[i] = answer{mark, err == nil && mark != (rejected.Mark{})}
	}
	return answers, nil
}

// onDisk returns the mark of a key by its record on disk.
func (d *database) onDisk(b *bbolt.Bucket, key rejected.Key) rejected.Mark {
	r, _ := d.current(key, b.Get(key[:]))
	return r.Mark()
}

func (d *database) get(ctx context.Context, key rejected.Key) (rejected.Record, error) {
	r, err := until.Run(ctx, d.reads, func() (r rejected.Record, err error) {
		err = d.view(func(b *bbolt.Bucket) error {
			value := b.Get(key[:])
			var ok bool
			r, ok = d.current(key, value)
			if r.Verdicts == 0 && (ok || value == nil) {
				r, ok = d.unsaved(key, r)
			}
			if !ok {
				return rejected.ErrNotFound
			}
			return nil
		})
		return r, err
	})
	if err != nil {
		return rejected.Record{}, d.late(ctx, err)
	}
	return r, nil
}

// unsaved adds a verdict to a record that has none, if the verdict could not be written and only the index has it. It reports whether the
// record says anything then.
func (d *database) unsaved(key rejected.Key, r rejected.Record) (rejected.Record, bool) {
	if m, _ := d.index.peek(key); m.ProbeAt > 0 {
		r.Condemned, r.ProbeAt, r.Verdicts = int64(m.Condemned)*1000, time.Unix(int64(m.ProbeAt), 0), 1
	}
	return r, r.Verdicts > 0 || r.Suspicion.Suspected()
}

// late adds the file's name to the error of a call that did not end in time.
func (d *database) late(ctx context.Context, err error) error {
	if end := ctx.Err(); end != nil && errors.Is(err, end) {
		return fmt.Errorf("%s: the disk did not answer in time: %w", d.path, err)
	}
	return err
}

// current returns the record of a value on disk, unless it has expired or is unreadable. Lookups that are not yet written count.
func (d *database) current(key rejected.Key, value []byte) (rejected.Record, bool) {
	if value == nil {
		return rejected.Record{}, false
	}
	r, err := decode(key, value)
	if err != nil {
		return rejected.Record{}, false
	}
	if _, seen := d.index.peek(key); seen > 0 {
		r.LastSeen = later(r.LastSeen, seen)
	}
	if d.expired(r) {
		return rejected.Record{}, false
	}
	return r, true
}

func (d *database) expired(r rejected.Record) bool {
	return d.clock.now().Sub(r.LastSeen) >= time.Duration(d.expire.Load())
}

// later returns the later of a time and a second in which a record was seen.
func later(t time.Time, seen uint32) time.Time {
	if s := time.Unix(int64(seen), 0); s.After(t) {
		return s
	}
	return t
}

func second(t time.Time) uint32 { return uint32(min(max(t.Unix(), 1), math.MaxUint32)) }
