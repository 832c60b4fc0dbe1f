package file

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"
)

// childVariable makes this program a gateway that accepts pushes into the named file until it is killed. Meanwhile it wipes the file and
// replaces it by a smaller one.
const childVariable = "OUTBOX_FILE_CHILD"

// droppedMark precedes the ID of a push that was dropped.
const droppedMark = "dropped "

// acceptUntilKilled prints which pushes it accepted, one in a line, and which it dropped.
func acceptUntilKilled(path string) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	b := &Box{Path: path, MaxPerDevice: 1 << 20}
	if err := b.Provision(ctx); err != nil {
		panic(err)
	}
	b.db.every, b.db.shrinks = time.Millisecond, func(int64, int64) bool { return true }
	if err := b.Open(ctx); err != nil {
		panic(err)
	}
	for i := range 8 {
		go func() {
			for n := 0; ; n++ {
				e := entry(fmt.Sprint(i), fmt.Sprint(os.Getpid(), "-", i, "-", n))
				e.Running = n%2 == 0
				if _, err := b.Accept(ctx, e); err != nil {
					panic(err)
				}
				_, _ = os.Stdout.WriteString(e.ID + "\n")
			}
		}()
	}
	for n := 0; ; n++ {
		e := entry("dropped", fmt.Sprint(droppedMark, os.Getpid(), "-", n))
		if _, err := b.Accept(ctx, e); err != nil {
			panic(err)
		}
		if dropped, err := b.Drop(ctx, app, e.Device, e.ID); dropped != 1 {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(e.ID + "\n")
	}
}

func TestWhatWasAcceptedOutlivesAKill(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	path := tempPath(t)
	answered := make(map[string]bool)
	replaced := 0
	for range 5 {
		replaced += killed(t, path, answered)
		b := opened(t, &Box{Path: path})
		if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
			t.Errorf("beside the file are %v, %v", names, err)
		}
		missing := maps.Clone(answered)
		inOrder := make(map[string]int)
		for _, id := range onDisk(t, b) {
			if strings.HasPrefix(id, droppedMark) {
				if answered[id] {
					t.Errorf("%s, but is there again", id)
				}
				continue
			}
			delete(missing, id)
			at := strings.LastIndexByte(id, '-')
			if want := fmt.Sprint(inOrder[id[:at]]); id[at+1:] != want {
				t.Errorf("%s comes instead of %s", id, want)
			}
			inOrder[id[:at]]++
		}
		cleanup(t, b)
		dropped := 0
		for id := range missing {
			if strings.HasPrefix(id, droppedMark) {
				dropped++
				continue
			}
			t.Errorf("%s was accepted, but is gone", id)
		}
		if dropped == 0 {
			t.Error("nothing was dropped")
		}
	}
	if replaced == 0 {
		t.Error("the file was never replaced")
	}
}

// onDisk returns the IDs of the entries in the file.
func onDisk(t *testing.T, b *Box) (ids []string) {
	t.Helper()
	err := b.db.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(entryBucket).ForEach(func(key, value []byte) error {
			e, err := decode(binary.BigEndian.Uint64(key), value)
			if err == nil {
				ids = append(ids, e.ID)
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// smaller is logged when the file was replaced by a smaller one.
const smaller = "the outbox file was shrunk"

// killed runs a gateway, kills it after a while, and adds the IDs that it printed. It returns how often the file was replaced.
func killed(t *testing.T, path string, ids map[string]bool) (replaced int) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), program)
	child.Env = append(os.Environ(), childVariable+"="+path)
	var complaints bytes.Buffer
	child.Stderr = &complaints
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var kill <-chan time.Time
	said := make(chan string)
	go func() {
		defer close(said)
		for lines.Scan() {
			said <- lines.Text()
		}
	}()
	for {
		select {
		case <-kill:
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		case id, more := <-said:
			if !more {
				_ = child.Wait() // it was killed
				for line := range strings.Lines(complaints.String()) {
					if !strings.Contains(line, smaller) {
						t.Errorf("it printed %s", line)
					}
				}
				return strings.Count(complaints.String(), smaller)
			}
			ids[id] = true
			if kill == nil && strings.HasPrefix(id, droppedMark) {
				kill = time.After(time.Duration(rand.IntN(100)) * time.Millisecond)
			}
		}
	}
}
