package file

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// big returns entries of 200 KB.
func big(from, to int) []outbox.Entry {
	entries := secrets(from, to)
	for i := range entries {
		entries[i].Push = append(entries[i].Push, bytes.Repeat([]byte{' '}, 200_000)...)
	}
	return entries
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// peak leaves a file of some 30 MB of which little is in use: pending entries, a note, a vouch, and an entry of a newer version.
func peak(t *testing.T, b *Box) (waits []outbox.Entry) {
	t.Helper()
	waits = secrets(0, 20)
	acceptAll(t, b, waits)
	past := big(1000, 1150)
	acceptAll(t, b, past)
	b.Note([16]byte{}, deviceOf("event"), time.Now().Add(24*time.Hour))
	b.Vouch(deviceOf("device"), time.Now().Add(24*time.Hour))
	atOnce(past, func(e outbox.Entry) { drop(t, b, &e) })
	if n := sizeOf(t, b.Path); n < 30_000_000 {
		t.Fatalf("the file has %d bytes, want a peak", n)
	}
	return waits
}

// expectPeak expects what peak left.
func expectPeak(t *testing.T, b *Box, waits []outbox.Entry) {
	t.Helper()
	if got := recalled(t, b); len(got) != 1 || !got[deviceOf("event")] {
		t.Errorf("%d events are recalled", len(got))
	}
	if got := vouchedFor(t, b); len(got) != 1 || !got[deviceOf("device")] {
		t.Errorf("%d are vouched for", len(got))
	}
	leased, err := b.Lease(t.Context(), app, 100)
	if err != nil || len(leased) != len(waits) {
		t.Fatalf("%d are leased, %v; want %d", len(leased), err, len(waits))
	}
	for _, l := range leased {
		var n int
		if _, err := fmt.Sscanf(l.ID, "id-%d", &n); err != nil || !bytes.Equal(l.Push, secret(n).Push) {
			t.Errorf("%s is not whole", l.ID)
		}
		settle(t, b, l.Ref())
	}
}

func TestTheFileShrinksAfterAPeak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		b := provision(t, &Box{Path: tempPath(t)})
		b.log = log.logger()
		open(t, b)
		other := provision(t, &Box{Path: b.Path}) // of a reload
		other.log = b.log
		open(t, other)
		waits := peak(t, b)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := sizeOf(t, b.Path); n > 1<<20 {
			t.Errorf("the file has %d bytes", n)
		}
		if strings.Count(log.String(), smaller) != 1 {
			t.Errorf("logged %s", log.String())
		}
		if n := found(t, b.Path, 1000, 1150); n != 0 {
			t.Errorf("%d dropped ones are found", n)
		}
		cleanup(t, b)
		waits = append(waits, secret(500))
		accept(t, other, waits[20])
		expectPeak(t, other, waits)
		cleanup(t, other)
		b = opened(t, &Box{Path: b.Path})
		if ids := drain(t, b); ids != nil {
			t.Errorf("after a restart it has %q", ids)
		}
	})
}

func TestAFileOfAnEarlierPeakShrinksWhenItIsOpened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		waits := peak(t, b)
		cleanup(t, b)
		b = opened(t, &Box{Path: b.Path})
		synctest.Wait()
		if n := sizeOf(t, b.Path); n > 1<<20 {
			t.Errorf("the file has %d bytes", n)
		}
		expectPeak(t, b, waits)
	})
}

func TestAFileThatIsInUseStaysAsItIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		used, size int64
		want       bool
	}{
		{0, shrinkFrom - 1, false},
		{0, shrinkFrom, true},
		{shrinkFrom / 4, shrinkFrom, true},
		{shrinkFrom/4 + 1, shrinkFrom, false},
		{maxShrunk, 8 * maxShrunk, true},
		{maxShrunk + 1, 8 * maxShrunk, false},
	} {
		if got := mostlyFree(tt.used, tt.size); got != tt.want {
			t.Errorf("of %d bytes, %d are in use: it shrinks: %v", tt.size, tt.used, got)
		}
	}
}

func TestASmallerFileHasTheModeOfTheOldOneAndItsLink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path, link := tempPath(t), filepath.Join(t.TempDir(), "link.db")
		writeFile(t, path, nil)
		if err := errors.Join(os.Symlink(path, link), os.Chmod(path, 0o640)); err != nil {
			t.Fatal(err)
		}
		b := opened(t, &Box{Path: link})
		waits := peak(t, b)
		time.Sleep(time.Hour)
		synctest.Wait()
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != 0o640 || info.Size() > 1<<20 {
			t.Errorf("the file is %v, %v", info, err)
		}
		if to, err := os.Readlink(link); err != nil || to != path {
			t.Errorf("the link leads to %q, %v", to, err)
		}
		expectPeak(t, b, waits)
	})
}

func TestAFileThatCannotShrinkIsWipedAndStaysInUse(t *testing.T) {
	t.Parallel()
	for name, obstruct := range map[string]func(t *testing.T, path string) (remove func() error){
		"the copy's name is taken": func(t *testing.T, path string) func() error {
			if err := os.MkdirAll(filepath.Join(path+".compact", "x"), 0o700); err != nil {
				t.Fatal(err)
			}
			return func() error { return os.RemoveAll(path + ".compact") }
		},
		"it has a second name": func(t *testing.T, path string) func() error {
			if err := os.Link(path, path+".backup"); err != nil {
				t.Fatal(err)
			}
			return func() error { return os.Remove(path + ".backup") }
		},
		"its name is another file's": func(t *testing.T, path string) func() error {
			if err := errors.Join(os.Rename(path, path+".moved"), os.WriteFile(path, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			return func() error { return os.Rename(path+".moved", path) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				b := provision(t, &Box{Path: tempPath(t)})
				b.log = log.logger()
				open(t, b)
				waits := peak(t, b)
				remove := obstruct(t, b.Path)
				time.Sleep(time.Hour)
				synctest.Wait()
				if n := strings.Count(log.String(), "cannot be shrunk"); n != 1 || !strings.Contains(log.String(), b.Path) {
					t.Errorf("logged %d times: %s", n, log.String())
				}
				if err := remove(); err != nil {
					t.Fatal(err)
				}
				if n := found(t, b.Path, 1000, 1150); n != 0 {
					t.Errorf("%d are found", n)
				}
				time.Sleep(shrinkPause)
				synctest.Wait()
				accept(t, b, secret(500)) // nobody looks at a file that nobody writes to
				time.Sleep(time.Hour)
				synctest.Wait()
				if n := sizeOf(t, b.Path); n > 1<<20 {
					t.Errorf("the file has %d bytes when nothing is in the way", n)
				}
				expectPeak(t, b, append(waits, secret(500)))
				names, err := os.ReadDir(filepath.Dir(b.Path))
				if err != nil || len(names) != 1 {
					t.Errorf("beside the file are %v, %v", names, err)
				}
			})
		})
	}
}

// If the file's new name is not on disk, a crash may bring the old file back. All that was accepted until then would be lost.
func TestNothingIsAcceptedBeforeTheNewNameIsOnDisk(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	b.db.Quiet() // otherwise the file's first sweep would look at the replaced file
	accept(t, b, entry("a", "1"))
	r, err := boltfile.NewReplacement(b.Path, b.db.file)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	r.SyncDir = func(string) error {
		if asked++; asked <= 3 {
			return syscall.EIO
		}
		return nil
	}
	if waitErr := b.db.writer.between(t.Context(), func() { err = b.db.replace(r) }); waitErr != nil || !errors.Is(err, syscall.EIO) {
		t.Fatalf("error %v, %v", err, waitErr)
	}
	for range 2 {
		if _, err := b.Accept(t.Context(), entry("a", "2")); !errors.Is(err, syscall.EIO) || errors.Is(err, outbox.ErrUnsure) {
			t.Errorf("Accept: error %v", err)
		}
	}
	accept(t, b, entry("a", "3"), entry("a", "4"))
	if asked != 4 {
		t.Errorf("the directory was synced %d times, want until it succeeded", asked)
	}
	cleanup(t, b)
	b = opened(t, &Box{Path: b.Path})
	if ids := drain(t, b); !slices.Equal(ids, []string{"1", "3", "4"}) {
		t.Errorf("the file has %q", ids)
	}
}

func TestADatabaseFileThatOthersCanReadGetsAWarning(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	writeFile(t, path, nil)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	b := provision(t, &Box{Path: path})
	b.log = log.logger()
	open(t, b)
	reloaded := provision(t, &Box{Path: path})
	reloaded.log = log.logger()
	open(t, reloaded)
	if n := strings.Count(log.String(), "other users can read or write the database file"); n != 1 || !strings.Contains(log.String(), path) ||
		!strings.Contains(log.String(), slog.LevelWarn.String()) {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}
