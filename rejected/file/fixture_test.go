package file

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// fixture returns a file that the gateway of a commit wrote, which did not know suspicions.
func fixture(t *testing.T, commit string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", commit, "rejected.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

const (
	old        = "6ee0363"
	oldRecords = 204
)

func oldKey(name string) rejected.Key { return rejected.KeyOf("org.example.app", name) }

func TestAFileOfAnEarlierGatewayIsReadAndGoesOn(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	at := c.now()
	dead := func(vs ...rejected.Verdict) (r rejected.Record) {
		for _, v := range vs {
			r = r.Add(v)
		}
		return r
	}
	want := map[string]rejected.Record{
		"with pushkey_ts":      dead(rejected.Verdict{App: "org.example.*", Reason: "gone", PushkeyTS: at.Add(-time.Hour).UnixMilli(), At: at}),
		"without pushkey_ts":   dead(rejected.Verdict{App: "org.example.*", Reason: "not_found", At: at}),
		"with a time of death": dead(rejected.Verdict{App: "org.example.ios", Reason: "unregistered", Since: at.Add(-time.Hour), At: at}),
		"probed twice": dead(rejected.Verdict{App: "org.example.*", Reason: "gone", At: at},
			rejected.Verdict{App: "org.example.*", Reason: "gone", At: at.Add(time.Hour)}),
	}
	for n := range oldRecords - len(want) {
		want[fmt.Sprint("device ", n)] = dead(rejected.Verdict{App: "org.example.*", Reason: "gone", PushkeyTS: at.UnixMilli() + int64(n)*1000, At: at})
	}
	s := provision(t, &Store{Path: tempPath(t), clock: c.clock()})
	writeFile(t, s.Path, fixture(t, old))
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Len(); n != oldRecords {
		t.Errorf("%d records, want %d", n, oldRecords)
	}
	for name, r := range want {
		got, err := s.Get(t.Context(), oldKey(name))
		if err != nil || got.Mark() != r.Mark() || got.App != r.App || got.Reason != r.Reason || got.Verdicts != r.Verdicts {
			t.Errorf("%s: %+v, %v\nwant %+v", name, got, err, r)
		}
		marks := make([]rejected.Mark, 1)
		if err := s.Lookup(t.Context(), []rejected.Key{oldKey(name)}, marks); err != nil || marks[0] != r.Mark() {
			t.Errorf("%s: mark %+v, %v; want %+v", name, marks[0], err, r.Mark())
		}
	}
	expectSameBytes(t, s)
	k := oldKey("with pushkey_ts")
	if _, err := s.Suspect(t.Context(), k, verdict(s)); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Get(t.Context(), k); err != nil || !r.Suspicion.Suspected() || r.Condemned != want["with pushkey_ts"].Condemned {
		t.Errorf("suspected beside it: %+v, %v", r, err)
	}
	if err := s.Acquit(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	expectSameBytes(t, s) // the earlier gateway would still read it
}

// expectSameBytes expects each record to be written unchanged.
func expectSameBytes(t *testing.T, s *Store) {
	t.Helper()
	err := s.db.view(func(b *bbolt.Bucket) error {
		return b.ForEach(func(name, value []byte) error {
			k := rejected.Key(name)
			r, err := decode(k, value)
			if err != nil || !bytes.Equal(encode(k, r), value) {
				return fmt.Errorf("%s: %+v, %w", k, r, errors.Join(err, errGarbage))
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAFileThatIsCutInHalfIsAnErrorThatNamesItAndTheCure(t *testing.T) {
	t.Parallel()
	whole := fixture(t, old)
	s := provision(t, &Store{Path: tempPath(t)})
	writeFile(t, s.Path, whole[:len(whole)/2])
	err := s.Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), s.Path) || !strings.Contains(err.Error(), "move it away to start with an empty one") {
		t.Errorf("Open: error %v, want one with the path and what to do", err)
	}
	marks := []rejected.Mark{{ProbeAt: 1}}
	if err := s.Lookup(t.Context(), []rejected.Key{oldKey("with pushkey_ts")}, marks); err == nil || marks[0] != (rejected.Mark{}) {
		t.Errorf("Lookup: mark %+v, %v; want an error and nobody rejected", marks[0], err)
	}
}

func TestARecordOfANewerVersionIsSkippedAndStays(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	reject(t, s, 1)
	newer := signed(key(2), append([]byte{withSuspicion + 1}, encode(key(2), suspected(sample))[1:]...))
	k := key(2)
	if err := s.db.update(func(b *bbolt.Bucket) error { return b.Put(k[:], newer) }); err != nil {
		t.Fatal(err)
	}
	cleanup(t, s)
	var log bytes.Buffer
	s = provision(t, &Store{Path: s.Path})
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "unreadable records were skipped") || !strings.Contains(log.String(), "records=1") ||
		!strings.Contains(log.String(), s.Path) {
		t.Errorf("logged %q, want a warning with the path that counts it", &log)
	}
	if known(t, s, 2) || !known(t, s, 1) {
		t.Error("want only the readable record")
	}
	if err := s.Acquit(t.Context(), k); err != nil {
		t.Error(err)
	}
	if err := s.db.sweep(t.Context()); err != nil {
		t.Error(err)
	}
	err := s.db.view(func(b *bbolt.Bucket) error {
		if !bytes.Equal(b.Get(k[:]), newer) {
			t.Error("the newer gateway could not find its record any more")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
