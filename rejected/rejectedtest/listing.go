package rejectedtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func listNothing(t *testing.T, h Harness) {
	l := newLister(t, h)
	l.expectOnce(rejected.Query{})
	l.expectOnce(rejected.Query{Prefix: "a", Limit: 1})
	l.reject(keyA, l.verdict(0))
	l.forget(keyA)
	l.expectOnce(rejected.Query{})
}

func listPages(t *testing.T, h Harness) {
	l := newLister(t, h)
	keys := l.rejectMany("key", 238)
	for _, limit := range []int{1, 7, 119, 237, 238, 239, rejected.MaxPage + 1, 0, -1} {
		l.expectOnce(rejected.Query{Limit: limit}, keys...)
	}
}

func listPrefix(t *testing.T, h Harness) {
	l := newLister(t, h)
	parse := func(digits string) rejected.Key {
		k, ok := rejected.ParseKey(digits)
		if !ok {
			t.Fatalf("%s is not a key", digits)
		}
		return k
	}
	full := func(digits, filler string) rejected.Key {
		return parse(digits + strings.Repeat(filler, 32-len(digits)))
	}
	zero, aaf, ab0, abc, abcd, abd, ac, last := full("", "0"), full("aa", "f"), full("ab", "0"), full("abc", "0"), full("abcd", "f"),
		full("abd", "0"), full("ac", "0"), full("", "f")
	for _, k := range []rejected.Key{zero, aaf, ab0, abc, abcd, abd, ac, last} {
		l.reject(k, l.verdict(0))
	}
	for prefix, want := range map[string][]rejected.Key{
		"":                        {zero, aaf, ab0, abc, abcd, abd, ac, last},
		"a":                       {aaf, ab0, abc, abcd, abd, ac},
		"ab":                      {ab0, abc, abcd, abd},
		"abc":                     {abc, abcd},
		"abcd":                    {abcd},
		"0":                       {zero},
		"f":                       {last},
		"abe":                     {},
		"5":                       {},
		abc.String():              {abc},
		last.String():             {last},
		full("ab", "1").String():  {},
		abcd.String()[:31]:        {abcd},
		abcd.String()[:31] + "e":  {},
		strings.Repeat("0", 31):   {zero},
		strings.Repeat("f", 2):    {last},
		strings.Repeat("0", 30):   {zero},
		zero.String()[:31] + "1":  {},
		strings.Repeat("aa", 16):  {},
		"aa" + aaf.String()[2:30]: {aaf},
	} {
		l.expectOnce(rejected.Query{Prefix: prefix}, want...)
		l.expectOnce(rejected.Query{Prefix: prefix, Limit: 1}, want...)
		l.expectOnce(rejected.Query{Prefix: prefix, Limit: 2}, want...)
	}
}

func listWrongly(t *testing.T, h Harness) {
	l := newLister(t, h)
	l.reject(keyA, l.verdict(0))
	wrong := func(q rejected.Query, want error) {
		t.Helper()
		page, next, err := l.List(t.Context(), q)
		if !errors.Is(err, want) || len(page) > 0 || next != "" {
			t.Errorf("%+v: %d records, cursor %q, error %v; want %v", q, len(page), next, err, want)
		}
	}
	for _, prefix := range []string{"g", "A", "a*", "?", "[a]", "*", " ", strings.Repeat("a", 33), "\x00", "é"} {
		wrong(rejected.Query{Prefix: prefix}, rejected.ErrPrefix)
	}
	for _, cursor := range []string{"x", "0", "-1", "+1", "01", " 1", "1 ", strings.Repeat("f", 33), "18446744073709551616", "é", "*", "\x00"} {
		wrong(rejected.Query{Cursor: cursor}, rejected.ErrCursor)
		wrong(rejected.Query{Cursor: cursor, Prefix: "a"}, rejected.ErrCursor)
	}
}

func listMeanwhile(t *testing.T, h Harness) {
	l := newLister(t, h)
	stay, goes := l.rejectMany("stays", 150), l.rejectMany("goes", 40)
	listed, gone := make(map[rejected.Key]bool), make(map[rejected.Key]bool)
	q := rejected.Query{Limit: 6}
	for round := range 1000 {
		page, next := l.page(q)
		for _, e := range page {
			listed[e.Key] = true
			if gone[e.Key] {
				t.Errorf("%s is listed after it was forgotten", e.Key)
			}
		}
		if q.Cursor = next; next == "" {
			break
		}
		if round < len(goes) {
			l.rejectMany(fmt.Sprint("comes ", round), 4)
			l.forget(goes[round])
			gone[goes[round]] = true
		}
	}
	if q.Cursor != "" {
		t.Error("the pages have no end")
	}
	for _, k := range stay {
		if !listed[k] {
			t.Errorf("%s was there all the time, but is not listed", k)
		}
	}
	if len(gone) < 10 {
		t.Errorf("only %d pages", len(gone))
	}
}

func listRecords(t *testing.T, h Harness) {
	l := newLister(t, h)
	keys := l.rejectMany("key", 20)
	l.elapse(h.Expire / 4)
	l.lookup(keys[3], keys[5])
	l.reject(keys[7], rejected.Verdict{App: "another", Reason: "unregistered", PushkeyTS: ts(99), At: l.clock.Now()})
	page, _ := l.page(rejected.Query{})
	if len(page) == 0 {
		t.Error("nothing is listed")
	}
	for _, e := range page {
		if want := l.get(e.Key); !sameRecord(e.Record, want) {
			t.Errorf("the record differs from that of Get\n got %+v\nwant %+v", e.Record, want)
		}
	}
}

// listExpired does not let the store notice that time passes: records that it has not removed yet must not be listed either.
func listExpired(t *testing.T, h Harness) {
	l := newLister(t, h)
	l.reject(keyA, l.verdict(0))
	l.reject(keyB, l.verdict(0))
	l.clock.add(h.Expire / 2)
	l.reject(keyC, l.verdict(0))
	l.lookup(keyB)
	l.clock.add(h.Expire / 2)
	l.expectOnce(rejected.Query{}, keyB, keyC)
	l.clock.add(h.Expire)
	l.expectOnce(rejected.Query{})
}

func listUnseen(t *testing.T, h Harness) {
	l := newLister(t, h)
	want := rejected.Record{}.Add(l.verdict(0))
	l.reject(keyA, l.verdict(0))
	l.elapse(h.Expire / 2)
	l.expectOnce(rejected.Query{}, keyA)
	l.expectOnce(rejected.Query{Prefix: keyA.String()}, keyA)
	l.expectRecord(keyA, want)
	l.elapse(h.Expire / 2)
	l.expectGone(keyA)
}

func (f *fixture) expectLen(want int) {
	f.Helper()
	if s, ok := f.s.(rejected.Sizer); ok && s.Len() != want {
		f.Errorf("%d records, want %d", s.Len(), want)
	}
}

func count(t *testing.T, h Harness) {
	f := newFixture(t, h)
	if _, ok := f.s.(rejected.Sizer); !ok {
		t.Skip("the store is not a rejected.Sizer")
	}
	f.expectLen(0)
	keys := f.rejectMany("key", 10)
	f.expectLen(10)
	f.reject(keys[0], f.verdict(0)) // again
	f.lookup(keyA, keys[1])
	f.expectLen(10)
	f.forget(keys[0])
	f.forget(keyA) // which is not there
	f.expectLen(9)
	if h.Close != nil {
		h.Close(t, f.s)
		f.expectLen(0)
	}
}

func listAfterRestart(t *testing.T, h Harness) {
	l := newLister(t, h)
	l.reject(keyA, l.verdict(ts(1)))
	l.reject(keyB, l.verdict(ts(2)))
	want := l.get(keyA)
	l.reopen()
	l.Lister = l.s.(rejected.Lister)
	l.expectOnce(rejected.Query{}, keyA, keyB)
	l.expectRecord(keyA, want)
	l.expectLen(2)
}
