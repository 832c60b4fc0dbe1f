package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestALockedFileIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	// A database outside the pool acts like one in another process.
	other := newDatabase(b.Path)
	err := other.Open(t.Context(), b, b.log, nil)
	if err == nil || !strings.Contains(err.Error(), b.Path) || !strings.Contains(err.Error(), "caddy reload") {
		t.Errorf("error %v", err)
	}
	if err := other.Destruct(); err != nil {
		t.Errorf("Destruct: %v", err)
	}
	accept(t, b, entry("a", "1"))
}

func TestADamagedFileIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	const entries = 300
	update(t, b, func(tx *bbolt.Tx) error {
		for seq := range uint64(entries) {
			e := entry(fmt.Sprint(seq%50), fmt.Sprint(seq))
			e.Push = make([]byte, 200)
			if err := tx.Bucket(entryBucket).Put(sequence(seq+1), encoded(t, seq+1, e)); err != nil {
				return err
			}
		}
		return nil
	})
	var pages []int // of entries
	if err := b.db.view(func(tx *bbolt.Tx) error {
		for id := 0; ; id++ {
			p, err := tx.Page(id)
			if err != nil || p == nil {
				return err
			}
			if p.Type == "leaf" && p.Count > 2 {
				pages = append(pages, id)
			}
		}
	}); err != nil || len(pages) < 4 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	cleanup(t, b)
	good, err := os.ReadFile(b.Path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	over := func(from int, with byte) []byte {
		return append(slices.Clone(good[:from*page]), bytes.Repeat([]byte{with}, len(good)-from*page)...)
	}
	middle := slices.Clone(good)
	copy(middle[pages[len(pages)/2]*page:][:page], bytes.Repeat([]byte{0xA5}, page))
	const todo = "move it away"
	for _, tt := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"text", bytes.Repeat([]byte("not a database\n"), 1000), todo},
		{"a few bytes", []byte("x"), todo},
		{"only its first page", good[:page], todo},
		{"only its first three pages", good[:3*page], todo},
		{"zeros in place of its pages", over(2, 0), todo},
		{"noise in place of its pages", over(2, 0xA5), todo},
		{"noise in place of one of its pages", middle, todo},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := provision(t, &Box{Path: tempPath(t)})
			writeFile(t, b.Path, tt.content)
			err := b.Open(t.Context())
			if err == nil || !strings.Contains(err.Error(), b.Path) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Open: error %v, want one with the path and %q", err, tt.want)
			}
			wantNotOpen(t, b)
			writeFile(t, b.Path, good) // the lock is free, and nothing of the failure is left
			if err := b.Open(t.Context()); err != nil {
				t.Fatalf("after the file was replaced: %v", err)
			}
			if n := b.db.index.queue(app).room.all.Entries; n != entries {
				t.Errorf("%d entries count, want %d", n, entries)
			}
		})
	}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err = errors.Join(err, os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestAnUnreadableEntryIsSkippedAndReportedAndKept(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	accept(t, b, entry("a", "1"), entry("a", "2"))
	other := []byte("from another version")
	update(t, b, func(tx *bbolt.Tx) error {
		e := tx.Bucket(entryBucket)
		return errors.Join(e.Put([]byte("short"), []byte("x")), e.Put(sequence(1), []byte("bad")), e.Put(sequence(3), other))
	})
	cleanup(t, b)

	var log logBuffer
	b = provision(t, &Box{Path: b.Path})
	b.log = log.logger()
	open(t, b)
	if !strings.Contains(log.String(), "entries=3") || !strings.Contains(log.String(), b.Path) {
		t.Errorf("logged %q, want a warning that counts 3 entries", log.String())
	}
	accept(t, b, entry("a", "3"))
	if ids := drain(t, b); !slices.Equal(ids, []string{"2", "3"}) {
		t.Errorf("it has %q", ids)
	}
	if n := keys(t, b, entryBucket); n != 3 {
		t.Errorf("%d entries are left, want the unreadable ones", n)
	}
	var got []byte
	update(t, b, func(tx *bbolt.Tx) error { got = bytes.Clone(tx.Bucket(entryBucket).Get(sequence(3))); return nil })
	if !bytes.Equal(got, other) {
		t.Errorf("one of them is %q now", got)
	}
}

func TestAnEntryThatBecameUnreadableHoldsNothingUp(t *testing.T) {
	t.Parallel()
	var log logBuffer
	b := provision(t, &Box{Path: tempPath(t)})
	b.log = log.logger()
	lost := countLosses(b)
	open(t, b)
	accept(t, b, entry("a", "1"), entry("a", "2"), entry("b", "3"))
	update(t, b, func(tx *bbolt.Tx) error { return tx.Bucket(entryBucket).Put(sequence(1), []byte("bad")) })
	ids := drain(t, b)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"2", "3"}) {
		t.Errorf("leased %q", ids)
	}
	if strings.Count(log.String(), "unreadable") != 1 {
		t.Errorf("logged %q", log.String())
	}
	if got := lost(); got != "1 of "+app+" unreadable" {
		t.Errorf("reported is %q", got)
	}
}
