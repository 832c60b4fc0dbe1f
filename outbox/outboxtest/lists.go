package outboxtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// bound is the most entries that a page has.
const bound = 1000

// page reads a page, and expects that it is not too long.
func (f *fixture) page(app, cursor string, limit int) (page []outbox.Waiting, next string) {
	f.Helper()
	page, next, err := f.inspector().List(f.Context(), app, cursor, limit)
	if err != nil {
		f.Fatalf("List: %v", err)
	}
	if most := min(max(limit, 1), bound); len(page) > most {
		f.Errorf("a page has %d entries, want at most %d", len(page), most)
	}
	return page, next
}

// list reads an app's entries page by page; between is called between two pages.
func (f *fixture) list(app string, limit int, between func(page []outbox.Waiting)) (all []outbox.Waiting) {
	f.Helper()
	for cursor := ""; ; {
		page, next := f.page(app, cursor, limit)
		all = append(all, page...)
		if next == "" {
			return all
		}
		if cursor = next; len(all) > 100*bound {
			f.Fatal("the list has no end")
		}
		between(page)
	}
}

func (f *fixture) listAll(app string) []outbox.Waiting {
	f.Helper()
	return f.list(app, bound, func([]outbox.Waiting) {})
}

// expectListed expects one entry, and ignores others.
func (f *fixture) expectListed(when string, want outbox.Waiting) {
	f.Helper()
	all := f.listAll(want.App)
	i := slices.IndexFunc(all, func(w outbox.Waiting) bool { return w.ID == want.ID })
	if i < 0 {
		f.Errorf("%s: %s is not listed", when, want.ID)
		return
	}
	got := all[i]
	// A box may use another clock than this one.
	if off := got.Due.Sub(want.Due).Abs(); off > 2*time.Second {
		f.Errorf("%s: %s is due %v off", when, want.ID, off)
	}
	got.Due = want.Due
	for _, w := range []*outbox.Waiting{&got, &want} {
		for _, at := range []*time.Time{&w.Accepted, &w.Expires} {
			if !at.IsZero() {
				*at = time.UnixMilli(at.UnixMilli())
			}
		}
	}
	if got != want {
		f.Errorf("%s: listed is\n     %+v\nwant %+v", when, got, want)
	}
}

func listed(f *fixture) {
	f.inspector()
	now := time.Now()
	alert, update, other := entry("a", "alert"), badge("b", "update"), entry("a", "other")
	alert.Host = "push.example.org:8443"
	alert.Push = []byte("{\"text\": \"<b>&amp;</b> \u00fc\",\n \"n\": 1.50}")
	update.Accepted, update.Expires = now.Add(-time.Hour), now.Add(28*24*time.Hour)
	other.App, other.Accepted = otherApp, time.Time{}
	f.accept(alert, update, other)
	for _, e := range []outbox.Entry{alert, update, other} {
		f.expectListed("accepted", outbox.Waiting{
			ID: e.ID, App: e.App, Device: e.Device, Host: e.Host, Replace: e.Replace, Size: len(e.Push),
			Accepted: e.Accepted, Expires: e.Expires, Due: now,
		})
	}
	if n := len(f.listAll(app)); n != 2 {
		f.Errorf("%d entries are listed, want 2", n)
	}
	f.reopen()
	for _, w := range f.listAll(otherApp) {
		if !w.Accepted.IsZero() {
			f.Errorf("%s was accepted at %v, want no time", w.ID, w.Accepted)
		}
	}
	w := f.listAll(app)[0]
	if e := map[string]outbox.Entry{"alert": alert, "update": update}[w.ID]; w.Size != len(e.Push) ||
		w.Accepted.UnixMilli() != e.Accepted.UnixMilli() || w.Expires.UnixMilli() != e.Expires.UnixMilli() {
		f.Errorf("after a restart, listed is\n     %+v\nwant %+v", w, e)
	}
	if all := f.listAll("nobody's"); len(all) != 0 {
		f.Errorf("%d entries of an app that has none", len(all))
	}
}

func listedState(f *fixture) {
	f.inspector()
	one, two := entry("a", "1"), running(entry("a", "2"))
	f.accept(one, two)
	expect := func(when string, e outbox.Entry, running bool, attempts int, in time.Duration) {
		f.Helper()
		f.expectListed(when, outbox.Waiting{
			ID: e.ID, App: e.App, Device: e.Device, Size: len(e.Push), Accepted: e.Accepted, Expires: e.Expires,
			Due: time.Now().Add(in), Attempts: attempts, Running: running,
		})
	}
	expect("accepted", one, false, 0, 0)
	expect("accepted while it runs, behind another", two, true, 0, outbox.LeaseTime)
	f.leaseOne("1", 0)
	expect("leased", one, true, 0, outbox.LeaseTime)
	f.release(two.Ref(), 0)
	expect("behind one that is leased", two, false, 0, outbox.LeaseTime)
	f.release(one.Ref(), time.Hour)
	expect("released", one, false, 1, time.Hour)
	expect("behind one that was released", two, false, 1, time.Hour)
	f.rouse()
	f.release(f.leaseOne("1", 1), 2*time.Hour)
	expect("released again", one, false, 2, 2*time.Hour)
	f.settle(one.Ref())
	expect("its turn", two, false, 0, 0)

	late := entry("b", "late")
	late.Due = time.Now().Add(time.Minute)
	f.accept(late)
	expect("due later", late, false, 1, time.Minute)
	ran := running(entry("c", "ran"))
	f.accept(ran)
	expect("accepted while it runs", ran, true, 0, outbox.LeaseTime)
}

// crowdOf accepts entries of some devices, and returns the IDs of each in order.
func (f *fixture) crowdOf(devices, entries int) map[[16]byte][]string {
	f.Helper()
	ids := make(map[[16]byte][]string)
	for n := range entries {
		for i := range devices {
			if (n+i)%3 == 0 && n > 0 {
				continue // not all have as many
			}
			e := entry(fmt.Sprint(i), fmt.Sprint(i, "-", n))
			f.accept(e)
			ids[e.Device] = append(ids[e.Device], e.ID)
		}
	}
	return ids
}

// idsOf returns the IDs of the listed entries of each device.
func idsOf(all []outbox.Waiting) map[[16]byte][]string {
	ids := make(map[[16]byte][]string)
	for _, w := range all {
		ids[w.Device] = append(ids[w.Device], w.ID)
	}
	return ids
}

func pages(f *fixture) {
	f.inspector()
	want := f.crowdOf(7, 9)
	other := entry("1", "other")
	other.App = otherApp
	f.accept(other)
	for range 2 {
		for _, limit := range []int{-1, 1, 2, 5, 37, 1000} {
			if got := idsOf(f.list(app, limit, func([]outbox.Waiting) {})); !maps.EqualFunc(got, want, slices.Equal) {
				f.Errorf("in pages of %d, listed %q, want %q", limit, got, want)
			}
		}
		page, _ := f.page(app, "", 5)
		again, _ := f.page(app, "", 5)
		if !slices.EqualFunc(page, again, func(a, b outbox.Waiting) bool { return a.ID == b.ID }) {
			f.Error("the first page differs the second time")
		}
		f.reopen()
	}
}

func pagesChanging(f *fixture) {
	f.inspector()
	stay := make(map[[16]byte][]string)
	var leave []outbox.Ref
	for dev, ids := range f.crowdOf(9, 9) {
		for i, id := range ids {
			if i%3 == 1 {
				stay[dev] = append(stay[dev], id)
			} else {
				leave = append(leave, outbox.Ref{App: app, Device: dev, ID: id})
			}
		}
	}
	n := 0
	all := f.list(app, 3, func(page []outbox.Waiting) {
		if n++; n > 200 {
			return // it would go on while there is more
		}
		f.accept(entry(fmt.Sprint(n%9), fmt.Sprint("more ", n)), entry(fmt.Sprint("new ", n), fmt.Sprint("first ", n)))
		if len(page) > 0 {
			last := page[len(page)-1] // which the cursor may depend on
			if !slices.Contains(stay[last.Device], last.ID) {
				f.settle(outbox.Ref{App: app, Device: last.Device, ID: last.ID})
			}
		}
		for range min(2, len(leave)) {
			f.settle(leave[0])
			leave = leave[1:]
		}
	})
	got := idsOf(all)
	for dev, want := range stay {
		staying := slices.DeleteFunc(got[dev], func(id string) bool { return !slices.Contains(want, id) })
		if !slices.Equal(staying, want) {
			f.Errorf("of a device, listed %q, want %q", staying, want)
		}
	}
}

func pageBound(f *fixture) {
	f.inspector()
	const callers, each = 8, bound/8 + 1
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := range each {
				if _, err := f.q.Accept(f.Context(), entry(fmt.Sprint(n), fmt.Sprint(i, "-", n))); err != nil {
					f.Errorf("Accept: %v", err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, w := range f.list(app, 5*bound, func([]outbox.Waiting) {}) {
		seen[w.ID] = true
	}
	if len(seen) != callers*each {
		f.Errorf("%d entries were listed, want %d", len(seen), callers*each)
	}
	if page, next := f.page(app, "", 0); len(page) == 0 && next == "" {
		f.Error("empty pages end the list")
	}
}

func cursors(f *fixture) {
	i := f.inspector()
	f.accept(entry("a", "1"), entry("b", "2"), entry("c", "3"))
	_, next := f.page(app, "", 1)
	for _, cursor := range []string{"x", "-", " ", "-1", "1.5", next + "x", "x" + next, next + " ", "\x00", "ü"} {
		if page, next, err := i.List(f.Context(), app, cursor, 10); !errors.Is(err, outbox.ErrCursor) || len(page) != 0 || next != "" {
			f.Errorf("the cursor %q: %d entries, %q, error %v; want ErrCursor", cursor, len(page), next, err)
		}
	}
	f.settle(ref("a", "1"))
	f.settle(ref("b", "2"))
	f.page(app, next, 10) // the entry that it depends on may be gone
}
