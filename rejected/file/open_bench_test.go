package file

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// BenchmarkOpen measures how long it takes to open a file, after which the gateway serves, and until all of it is in memory. It also
// measures the memory that a record takes then: heap, and what the system gave the process beside the file's pages, which it can take back
// at any time. The largest file has more than a gigabyte, and is left out with -short.
func BenchmarkOpen(b *testing.B) {
	for _, records := range []int{1e5, 1e6, 1e7} {
		if testing.Short() && records > million {
			continue
		}
		b.Run(fmt.Sprint(records), func(b *testing.B) { benchmarkOpen(b, records) })
	}
}

func benchmarkOpen(b *testing.B, records int) {
	path := filepath.Join(b.TempDir(), "rejected.db")
	makeFile(b, path, records)
	var open, load time.Duration
	var heapBytes, residentBytes float64
	n := 0
	for b.Loop() {
		b.StopTimer()
		debug.FreeOSMemory()
		heapBefore, residentBefore := heap(), resident()
		loaded := make(chan struct{})
		d := newDatabase(path, clock{after: func(d time.Duration) <-chan time.Time {
			if d == patience {
				return time.After(d)
			}
			close(loaded) // the sweeper waits for the first time
			return nil
		}})
		b.StartTimer()
		begin := time.Now()
		if err := openAlone(b, d); err != nil {
			b.Fatal(err)
		}
		open += time.Since(begin)
		<-loaded
		load += time.Since(begin)
		b.StopTimer()
		residentBytes += (float64(resident()) - float64(residentBefore)) / float64(records)
		heapBytes += (float64(heap()) - float64(heapBefore)) / float64(records)
		if n := d.index.len(); n != records {
			b.Errorf("%d records", n)
		}
		if err := d.Destruct(); err != nil {
			b.Error(err)
		}
		n++
		b.StartTimer()
	}
	b.ReportMetric(float64(open.Milliseconds())/float64(n), "ms-to-open")
	b.ReportMetric(float64(load.Milliseconds())/float64(n), "ms-to-load")
	b.ReportMetric(heapBytes/float64(n), "heap-B/entry")
	b.ReportMetric(residentBytes/float64(n), "resident-B/entry")
}

// openAlone opens a database outside a pool, with the default settings.
func openAlone(b *testing.B, d *database) error {
	b.Helper()
	s := &Store{Expire: caddy.Duration(rejected.DefaultExpire), MaxEntries: defaultMaxEntries}
	return d.Open(b.Context(), s, slog.New(slog.DiscardHandler), func() { d.apply(s) })
}

// makeFile writes records in the order of their keys, which is fast, and leaves pages half empty, as any order does.
func makeFile(b *testing.B, path string, records int) {
	b.Helper()
	keys := make([]rejected.Key, records)
	for n := range keys {
		keys[n] = spread(uint64(n))
	}
	slices.SortFunc(keys, func(a, b rejected.Key) int { return bytes.Compare(a[:], b[:]) })
	d := newDatabase(path, clock{})
	if err := openAlone(b, d); err != nil {
		b.Fatal(err)
	}
	r := sample
	r.FirstSeen, r.LastSeen = time.Now(), time.Now()
	for chunk := range slices.Chunk(keys, 100_000) {
		err := d.bolt.Update(func(tx *bbolt.Tx) error {
			for _, k := range chunk {
				if err := tx.Bucket(bucket).Put(k[:], encode(k, r)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := d.Destruct(); err != nil {
		b.Fatal(err)
	}
}

// resident returns the process's memory that does not belong to a file; 0 if the system does not report it.
func resident() uint64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := bytes.Cut(status, []byte("RssAnon:"))
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	n, _ := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 64)
	return n << 10
}
