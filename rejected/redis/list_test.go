package redis

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// listed reads all pages, and returns their records and the number of pages.
func listed(t *testing.T, s *Store, q rejected.Query) (records map[rejected.Key]rejected.Record, pages int) {
	t.Helper()
	records = make(map[rejected.Key]rejected.Record)
	for range 10_000 {
		page, next, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatalf("List %+v: %v", q, err)
		}
		for _, e := range page {
			records[e.Key] = e.Record
		}
		pages++
		if q.Cursor = next; next == "" {
			return records, pages
		}
	}
	t.Fatal("the pages have no end")
	return nil, 0
}

// set writes a value without the store.
func set(t *testing.T, s *Store, name, value string) {
	t.Helper()
	if err := s.shelf.Client.Set(t.Context(), name, value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestThePrefixOfTheKeysIsNotAPattern(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for n, tt := range []struct{ prefix, matched string }{
		{"*", "anything"},
		{"a?c", "abc"},
		{"[ab]", "a"},
		{"[^x]", "a"},
		{"a[b", "a["},
		{`a\bc`, "abc"},
		{`\*\`, "*"},
		{"a]b", "ab"},
		{"é *", "é a"},
	} {
		s := opened(t, &Store{Address: at(server.URL), Prefix: tt.prefix})
		other := opened(t, &Store{Address: at(server.URL), Prefix: tt.matched})
		reject(t, s, n, 5000)
		reject(t, other, 100+n, 5000)
		if got, _ := listed(t, s, rejected.Query{}); len(got) != 1 || got[key(n)].Condemned != 5000 {
			t.Errorf("prefix %s: %d records are listed, want its own", tt.prefix, len(got))
		}
	}
}

func TestWhatIsNotARecordIsNotListed(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	reject(t, s, 1, 5000)
	record, err := encode(rejected.Record{}.Add(rejected.Verdict{Reason: "gone", At: time.Now()}))
	if err != nil {
		t.Fatal(err)
	}
	base, hash := s.shelf.shards[0].records, key(2).String()
	for _, name := range []string{
		base, base + "index", base + hash + "0", base + hash[1:], base + "x" + hash[1:], base + strings.ToUpper(hash), base + base + hash,
		"{matrix_push}:outbox:event:" + hash, "{matrix_push}:rejected" + hash, "x" + base + hash, hash,
	} {
		set(t, s, name, record)
	}
	set(t, s, base+hash, "garbage")
	if err := s.shelf.Client.HSet(t.Context(), s.shelf.name(key(3)), "a", "b").Err(); err != nil {
		t.Fatal(err)
	}
	got, _ := listed(t, s, rejected.Query{})
	if _, ok := got[key(1)]; !ok || len(got) != 1 {
		t.Errorf("%d records are listed, want the one", len(got))
	}
	if got, _ := listed(t, s, rejected.Query{Prefix: hash}); len(got) != 0 {
		t.Errorf("%d records are listed, want none", len(got))
	}
}

func TestARecordOfBeforeHasNoApp(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	seen := time.Now().UnixMilli()
	set(t, s, s.shelf.name(key(1)), fmt.Sprintf(
		`{"reason":"gone","condemned":5000,"first_seen":%d,"last_seen":%d,"probe_at":%d,"verdicts":2}`, seen, seen, seen))
	if r, err := s.Get(t.Context(), key(1)); err != nil || r.App != "" || r.Condemned != 5000 || r.Verdicts != 2 {
		t.Errorf("Get: %+v, %v", r, err)
	}
	v := rejected.Verdict{App: "org.example.*", Reason: "gone", At: time.Now()}
	if err := s.Reject(t.Context(), key(1), v); err != nil {
		t.Fatal(err)
	}
	if got, _ := listed(t, s, rejected.Query{}); got[key(1)].App != v.App || got[key(1)].Condemned != 5000 {
		t.Errorf("listed %+v", got)
	}
}

func TestWhatAnotherGatewayLearnsAndForgetsIsListedAtOnce(t *testing.T) {
	t.Parallel()
	a, b := gateways(t, redistest.Start(t), nil)
	reject(t, a, 1, 5000)
	reject(t, a, 2, 5000)
	isKnown(t, b, 1)
	if err := a.Forget(t.Context(), key(1)); err != nil {
		t.Fatal(err)
	}
	reject(t, a, 2, 9000)
	if got, _ := listed(t, b, rejected.Query{}); len(got) != 1 || got[key(2)].Condemned != 9000 {
		t.Errorf("listed %+v", got)
	}
}

func TestThatItWasSeenIsListedBeforeItIsWrittenDown(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL), now: c.now})
	reject(t, s, 1, 5000)
	c.add(time.Minute) // more than the hour between two writes
	isKnown(t, s, 1)
	seen := c.now()
	c.add(time.Minute)
	if got, _ := listed(t, s, rejected.Query{}); !got[key(1)].LastSeen.Equal(seen) {
		t.Errorf("last seen %v, want %v", got[key(1)].LastSeen, seen)
	}
}

// strangers fills Redis with other keys.
func strangers(t *testing.T, s *Store, n int) {
	t.Helper()
	pipe := s.shelf.Client.Pipeline()
	for i := range n {
		pipe.Set(t.Context(), fmt.Sprintf("{matrix_push}:outbox:event:%d", i), "", 0)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAFewRecordsAmongManyOtherKeysTakeFewCommands(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t, "--appendonly", "no").URL + "?read_timeout=10s&write_timeout=10s")})
	strangers(t, s, 20_000)
	for n := range 5 {
		reject(t, s, n, 5000)
	}
	third := key(3).String()
	for _, tt := range []struct {
		q    rejected.Query
		most int
	}{
		{rejected.Query{Limit: 10}, 40},
		{rejected.Query{Prefix: third[:8], Limit: 2}, 25},
		{rejected.Query{Prefix: third, Limit: 2}, 0},
	} {
		before := scans(t, s)
		got, pages := listed(t, s, tt.q)
		if _, ok := got[key(3)]; !ok {
			t.Errorf("%+v: the record is not listed", tt.q)
		}
		if n := scans(t, s) - before; n > tt.most || pages > 2 {
			t.Errorf("%+v: %d commands for %d pages", tt.q, n, pages)
		}
	}
}

// The test is not parallel: so many keys would delay other tests.
func TestAPageTakesABoundedNumberOfCommands(t *testing.T) {
	s := opened(t, &Store{Address: at(redistest.Start(t, "--appendonly", "no").URL + "?read_timeout=10s&write_timeout=10s")})
	strangers(t, s, 3*maxScans*maxCount/2)
	before := scans(t, s)
	page, next, err := s.List(t.Context(), rejected.Query{Prefix: "a"})
	if err != nil || len(page) != 0 || next == "" {
		t.Fatalf("%d records, cursor %q, %v; want an empty page that is not the last", len(page), next, err)
	}
	if n := scans(t, s) - before; n != maxScans {
		t.Errorf("%d commands, want %d", n, maxScans)
	}
	if got, pages := listed(t, s, rejected.Query{Prefix: "a"}); len(got) != 0 || pages != 2 {
		t.Errorf("%d records on %d pages, want 2 empty ones", len(got), pages)
	}
}

func scans(t *testing.T, s *Store) int {
	t.Helper()
	n, err := strconv.Atoi(commands(t, s, "scan"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
