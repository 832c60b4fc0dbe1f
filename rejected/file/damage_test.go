package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// damage overwrites every page that has the record of a key, and returns the keys that it spared.
func damage(t *testing.T, path string, bad rejected.Key, n int) (spared []int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := os.Getpagesize()
	for from := 2 * page; from < len(content); from += page {
		if at := content[from : from+page]; bytes.Contains(at, bad[:]) {
			if _, err := f.WriteAt(bytes.Repeat([]byte{0xA5}, page), int64(from)); err != nil {
				t.Fatal(err)
			}
			clear(at)
		}
	}
	broken := make(map[byte]bool)
	for i := range n {
		if k := key(i); !bytes.Contains(content, k[:]) {
			broken[k[0]] = true
		}
	}
	for i := range n {
		if !broken[key(i)[0]] {
			spared = append(spared, i)
		}
	}
	return spared
}

func TestDamageThatIsFoundLateIsLoggedAndTheRestCounts(t *testing.T) {
	t.Parallel()
	const n = 2000
	c := newTestClock()
	path := filled(t, n, c)
	h := openHeld(t, path, c)
	spared := damage(t, path, key(1), n)
	if len(spared) == 0 || len(spared) == n {
		t.Fatalf("%d records are spared", len(spared))
	}
	for _, when := range []string{"before", "after"} {
		for _, i := range spared {
			if !known(t, h.Store, i) {
				t.Errorf("%s loading, record %d is not known", when, i)
			}
		}
		marks := []rejected.Mark{{Condemned: 1}, {Condemned: 1}}
		err := h.Lookup(t.Context(), []rejected.Key{key(spared[0]), key(1)}, marks)
		if err == nil || !strings.Contains(err.Error(), path) || marks[0] != (rejected.Mark{}) || marks[1] != (rejected.Mark{}) {
			t.Errorf("%s loading: marks %+v, error %v; want no marks and one with the path", when, marks, err)
		}
		if when == "before" {
			h.loadAll()
		}
	}
	log := h.log.String()
	if strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "is damaged or not a database; move it away") || strings.Count(log, "\n") != 1 {
		t.Errorf("logged %s", log)
	}
	if err := h.Reject(t.Context(), key(1), verdict(h.Store)); err == nil {
		t.Error("a verdict was written on a damaged page")
	}
	if !known(t, h.Store, 1) {
		t.Error("a verdict that could not be written does not count")
	}
}

func TestDamageThatIsFoundSoonFailsTheLoad(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	const n = 2000
	path := filled(t, n, c)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, path, key(1), n)
	s := provision(t, &Store{Path: path, clock: clock{now: c.now}})
	last := toFill
	s.db.step = func(_ context.Context, at step, shard int) {
		if at == toRead && last == toRead {
			t.Errorf("the shard %d is loaded, although the one before could not be read", shard)
		}
		last = at
	}
	err = s.Open(t.Context())
	if want := fmt.Sprintf("rejected store: %s is damaged or not a database; move it away to start with an empty one: ", path); err == nil ||
		!strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want one that begins with %s", err, want)
	}
	if err := s.Lookup(t.Context(), nil, nil); !errors.Is(err, rejected.ErrNotOpen) || s.Len() != 0 {
		t.Errorf("Lookup: %v, %d records; want ErrNotOpen and none", err, s.Len())
	}

	writeFile(t, path, good)
	s.db.clock.after = impatient
	s.db.step = func(running context.Context, _ step, _ int) { <-running.Done() }
	if err := s.Open(t.Context()); err != nil {
		t.Fatalf("after the file was replaced: %v", err)
	}
	for i := range n {
		if !known(t, s, i) {
			t.Errorf("record %d counts as loaded, as before the failure", i)
		}
	}
}

// This guards against the end of the process: bbolt writes on a separate goroutine, where a page that has disappeared does not cause a
// recoverable panic.
func TestAFileThatIsCutShortWhileItIsOpenEndsNothing(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	path := filled(t, 2000, c)
	h := openHeld(t, path, c)
	if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := h.Lookup(t.Context(), []rejected.Key{key(1)}, make([]rejected.Mark, 1))
		errs := map[string]error{"Lookup": err, "Reject": h.Reject(t.Context(), key(2), verdict(h.Store)), "Forget": h.Forget(t.Context(), key(3))}
		for op, err := range errs {
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: error %v, want one with the path", op, err)
			}
		}
		h.loadAll()
		h.clock.waits <- 0
	}
	if n := strings.Count(h.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("logged %s", h.log)
	}
}
