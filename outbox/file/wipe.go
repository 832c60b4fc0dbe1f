package file

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
)

// Removed data must be gone from the file; boltfile.Wiper explains why that takes overwriting. A sweep goes through the file from start to
// end, one step at a time between two transactions. Then it shrinks the file if most of it is free. Opening and closing the file do the
// same, so even a process that runs for only minutes leaves nothing behind.

const (
	// shrinkFrom is the smallest size that is worth shrinking.
	shrinkFrom = 8 << 20
	// shrinkShare is the largest share of the file that may be in use when it shrinks: a quarter.
	shrinkShare = 4
	// maxShrunk bounds the bytes in use when a file shrinks: everything waits for a moment while the file is compared with its copy.
	maxShrunk = 128 << 20
	// fillStep is how much of the file is copied at a time: read transactions must be brief.
	fillStep = 1 << 20
	// shrinkPause is the wait after a failed attempt to shrink the file.
	shrinkPause = 6 * time.Hour
)

// tidy is what the sweeper knows about the file.
type tidy struct {
	wiped  int64     // how many transactions had begun when the file was last wiped to the end
	shrink time.Time // when the file may shrink again
}

// wipe overwrites what was removed, and shrinks the file if most of it is free.
func (d *database) wipe(ctx context.Context) error {
	begun := d.writer.begun.Load()
	if d.tidy.wiped == begun+1 {
		return nil // nothing was written since
	}
	var w boltfile.Wiper
	for from, more := 0, true; more; more = from > 0 {
		var err error
		wiped := w.Wiped
		if waitErr := d.writer.between(ctx, func() { from, err = d.wipeStep(&w, from) }); waitErr != nil {
			return errors.Join(waitErr, err)
		}
		if err == nil && w.Wiped > wiped {
			err = d.file.Sync() // here, where nobody waits for it
		}
		if err != nil {
			return err
		}
	}
	d.tidy.wiped = begun + 1
	return d.shrinkAfter(ctx, &w)
}

// lastWipe is wipe for a file that nobody uses any more.
func (d *database) lastWipe() error {
	if d.tidy.wiped == d.writer.begun.Load()+1 {
		return nil
	}
	var w boltfile.Wiper
	for from, more := 0, true; more; more = from > 0 {
		var err error
		if from, err = d.wipeStep(&w, from); err != nil {
			return err
		}
	}
	if w.Wiped == 0 {
		return nil
	}
	return d.file.Sync()
}

// wipeStep runs where nothing else writes.
func (d *database) wipeStep(w *boltfile.Wiper, from int) (next int, err error) {
	if d.writer.shaky { // the visible state must be on disk first: pages that were free before may still be needed
		if err := d.writer.transact(nil, words{}, nil); err != nil {
			return 0, err
		}
	}
	err = boltfile.Guard(d.path, func() error {
		next, err = w.Step(d.bolt, d.file, &d.reads, from)
		return err
	})
	return next, err
}

// shrinkAfter shrinks a file that was found to be mostly free. A failure only costs disk space.
func (d *database) shrinkAfter(ctx context.Context, w *boltfile.Wiper) error {
	used, size := int64(w.Seen-w.Unused)*int64(w.PageSize), int64(w.Seen)*int64(w.PageSize)
	if !boltfile.CanReplace || !d.shrinks(used, size) || time.Now().Before(d.tidy.shrink) {
		return nil
	}
	err := d.shrink(ctx)
	var undurable *boltfile.NotDurableError
	switch {
	case errors.As(err, &undurable):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		d.tidy.shrink = time.Now().Add(shrinkPause)
		d.Log().Warn("the outbox file cannot be shrunk", "file", d.path, "error", err)
		return nil
	}
	d.Log().Info("the outbox file was shrunk", "file", d.path, "was", size, "used", used)
	return nil
}

// mostlyFree reports whether so little of a file is in use that shrinking it is worth the effort.
func mostlyFree(used, size int64) bool {
	return size >= shrinkFrom && used <= size/shrinkShare && used <= maxShrunk
}

// shrink copies the database to a smaller file, which replaces it.
func (d *database) shrink(ctx context.Context) error {
	r, err := boltfile.NewReplacement(d.path, d.file)
	if err != nil {
		return err
	}
	for done := false; !done; {
		err := ctx.Err()
		if err == nil {
			err = d.view(func(tx *bbolt.Tx) (err error) { done, err = r.Fill(tx, fillStep); return err })
		}
		if err != nil {
			return errors.Join(err, r.Discard())
		}
	}
	if err := r.Sync(); err != nil {
		return errors.Join(err, r.Discard())
	}
	if waitErr := d.writer.between(ctx, func() { err = d.replace(r) }); waitErr != nil {
		return errors.Join(waitErr, r.Discard())
	}
	return err
}

// replace runs where nothing else writes and nobody reads.
func (d *database) replace(r *boltfile.Replacement) error {
	w := d.writer
	if w.shaky || w.confirm != nil {
		return errors.Join(errors.New("the latest write may not be on disk"), r.Discard())
	}
	d.reads.Lock()
	defer d.reads.Unlock()
	err := boltfile.Guard(d.path, func() error {
		return d.bolt.View(func(tx *bbolt.Tx) error { return r.Replace(tx, d.file) })
	})
	var undurable *boltfile.NotDurableError
	if errors.As(err, &undurable) {
		w.confirm = undurable.Again
	} else if err != nil {
		return errors.Join(err, r.Discard())
	}
	old := d.bolt
	d.bolt, d.file, w.bolt = r.DB, r.File, r.DB
	return errors.Join(err, old.Close())
}
