package boltfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"

	"go.etcd.io/bbolt"
)

// bbolt marks pages as free and leaves their content until it uses them again, which may be never. Whoever reads the file, or a backup
// of it, finds data that was removed long ago. So a file with content is wiped. The alternatives are worse:
//
//   - Overwriting free pages takes no space, and needs only permission to write the file. It is done in steps between two transactions, so
//     nothing waits for long.
//   - A new copy of the database each hour would take as much space again, a writable directory, and a system that replaces open files. It
//     would write all pending pushes and a million notes over and over. [Replacement] makes such a copy, but only to shrink a file that is
//     mostly free.
//   - Encryption with throw-away keys would take a key for each entry, in a second file that is synced before the entry counts. A key for
//     an hour or a day would stay as long as its longest entry, and with it everything that was delivered in the meantime.
//
// A database of hashes, such as the rejected store's, has nothing to wipe.

// Pages is how many pages a step looks at: 1 MiB on most systems.
const Pages = 256

// Wiper overwrites pages that a database no longer uses with zeros.
type Wiper struct {
	buffer, zeros []byte

	PageSize            int
	Seen, Unused, Wiped int // pages since the first step
}

// Step looks at [Pages] pages, beginning with page from. It returns the next page, or 0 at the end of the file. Nothing else may write
// in the meantime. readers is the lock that the database's readers hold for reading. There must be no reader when a step begins,
// because bbolt calls pages free that it keeps for readers.
//
// The caller makes sure that the latest transaction is on disk. Then bbolt itself may write to the free pages at any time, so nothing
// is missing after a crash. What a step writes is on disk with the next sync.
func (w *Wiper) Step(db *bbolt.DB, file *os.File, readers sync.Locker, from int) (next int, err error) {
	readers.Lock()
	tx, err := db.Begin(true)
	readers.Unlock()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	w.PageSize = db.Info().PageSize
	size := w.PageSize
	if len(w.buffer) != Pages*size {
		w.buffer, w.zeros = make([]byte, Pages*size), make([]byte, Pages*size)
	}
	n, err := file.ReadAt(w.buffer, int64(from)*int64(size))
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	pages := n / size // a file has whole pages
	if err := w.wipe(tx, file, from, pages, size); err != nil {
		return 0, err
	}
	if pages < Pages {
		return 0, nil
	}
	return from + pages, nil
}

// wipe overwrites the unused pages in the buffer. It writes adjacent ones together.
func (w *Wiper) wipe(tx *bbolt.Tx, file *os.File, from, pages, size int) error {
	flush := func(first, end int) error {
		if first == end {
			return nil
		}
		w.Wiped += end - first
		_, err := file.WriteAt(w.zeros[:(end-first)*size], int64(from+first)*int64(size))
		return err
	}
	first := 0 // of the pages to overwrite
	for i := range pages {
		free, err := unused(tx, from+i)
		if err != nil {
			return err
		}
		w.Seen++
		if free {
			w.Unused++
		}
		if content := w.buffer[i*size : (i+1)*size]; free && !bytes.Equal(content, w.zeros[:size]) {
			continue
		}
		if err := flush(first, i); err != nil {
			return err
		}
		first = i + 1
	}
	return flush(first, pages)
}

// unused reports whether a page of a database without readers has no data. Beyond the last page, there may be the remains of a
// transaction that a crash interrupted.
func unused(tx *bbolt.Tx, id int) (bool, error) {
	info, err := tx.Page(id)
	if err != nil {
		return false, err
	}
	return info == nil || info.Type == "free", nil
}
