package file

import (
	"context"
	"io"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// patience is how long opening waits for loading. It is enough for a million records. So most files are loaded before the first request,
// and a damaged file fails the load.
const patience = 500 * time.Millisecond

// step is a step of loading a shard.
type step int

const (
	toRead step = iota // it is read next
	toFill             // it was read, and is put into the index next
)

// found is what loading found. At the end it has the number of unreadable records; before that, it may have an error of the file.
type found struct {
	skipped int
	err     error
}

// loading passes on what loading finds: to the opener of the file as long as it waits, and then to the log.
type loading struct {
	heard chan found
	late  chan struct{}
}

func newLoading() *loading {
	return &loading{make(chan found), make(chan struct{})}
}

// wait returns the first finding, or nothing after the allowed time.
func (l *loading) wait(ctx context.Context, enough <-chan time.Time) (f found) {
	defer close(l.late)
	select {
	case f = <-l.heard:
	case <-enough:
	case <-ctx.Done(): // whoever gives up also releases the file
	}
	return f
}

// readAll reads a file once from start to end, which puts it into the system's cache. A shard's pages are spread over the file, and a disk
// is ten times as fast when it reads them in order. bbolt reports what cannot be read.
func readAll(ctx context.Context, file io.ReaderAt) {
	buffer := make([]byte, 1<<20)
	for from := int64(0); ctx.Err() == nil; {
		n, err := file.ReadAt(buffer, from)
		if err != nil {
			return
		}
		from += int64(n)
	}
}

// load fills the index one shard after the other, and reports whether the file stays open. If a shard cannot be loaded, lookups in it keep
// asking the file. So no verdict is invented, and every readable record counts.
func (d *database) load(ctx context.Context) bool {
	var all found
	failed := false
	var buffer []pair
	for i := range shards {
		d.step(ctx, toRead, i)
		if ctx.Err() != nil {
			return false
		}
		skipped, err := d.loadShard(ctx, i, &buffer)
		all.skipped += skipped
		if err != nil && !failed {
			failed = true
			if d.tell(found{err: err}) {
				return false // the opener closes the file again
			}
		}
	}
	d.tell(all)
	return true
}

// tell passes on what was found, and reports whether the opener of the file received it.
func (d *database) tell(f found) bool {
	select {
	case d.loading.heard <- f:
		return true
	case <-d.loading.late:
		if f.err != nil {
			d.Log().Error("the file of rejected pushkeys cannot be loaded", "file", d.path, "error", f.err)
		}
		d.warn(f.skipped)
	}
	return false
}

func (d *database) warn(skipped int) {
	if skipped > 0 {
		d.Log().Warn("unreadable records were skipped", "file", d.path, "records", skipped)
	}
}

// pair is a record as the index has it.
type pair struct {
	key  rejected.Key
	mark rejected.Mark
}

// loadShard reads the records of a shard, which follow each other on disk. It puts them into the index in a write transaction that it rolls
// back: nothing is written, and no record changes meanwhile. It reads them before that transaction, when nobody has to wait. If something
// was written since, it reads them again, which is quick the second time.
func (d *database) loadShard(ctx context.Context, i int, buffer *[]pair) (skipped int, err error) {
	err = d.enter(func() error {
		var disk marks
		var read int
		err := d.bolt.View(func(tx *bbolt.Tx) error {
			read = tx.ID()
			disk, skipped = d.readShard(tx, i, buffer)
			return nil
		})
		if err != nil {
			return err
		}
		d.step(ctx, toFill, i)
		tx, err := d.bolt.Begin(true)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // it was begun
		if tx.ID() != read+1 {
			disk, skipped = d.readShard(tx, i, buffer)
		}
		d.index.fill(i, disk)
		return nil
	})
	return skipped, err
}

// readShard returns the marks of the records that have not expired. The buffer lets it make a map of the right size at once, which takes
// half the time and leaves no garbage.
func (d *database) readShard(tx *bbolt.Tx, i int, buffer *[]pair) (disk marks, skipped int) {
	records := (*buffer)[:0]
	after := d.clock.now().Add(-time.Duration(d.expire.Load()))
	c := tx.Bucket(bucket).Cursor()
	for name, value := c.Seek([]byte{byte(i)}); name != nil && name[0] == byte(i); name, value = c.Next() {
		key, r, err := entry(name, value)
		switch {
		case err != nil:
			skipped++
		case r.LastSeen.After(after):
			records = append(records, pair{key, r.Mark()})
		}
	}
	*buffer = records
	disk = makeMarks(len(records))
	for _, r := range records {
		disk.put(r.key, r.mark)
	}
	return disk, skipped
}
