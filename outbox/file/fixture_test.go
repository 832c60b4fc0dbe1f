package file

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// These are the apps of the fixture.
const iosApp, webApp = "org.example.ios", "org.example.web.*"

// fixture returns a file that the code of commit 6ee0363 wrote. It has two apps, with entries that were leased, released, running and
// settled, badge updates, and events.
func fixture(t *testing.T) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", "6ee0363", "outbox.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// ofFixture opens a copy of the fixture.
func ofFixture(t *testing.T) *Box {
	t.Helper()
	b := provision(t, &Box{Path: tempPath(t)})
	writeFile(t, b.Path, fixture(t))
	open(t, b)
	return b
}

// old returns an entry of the fixture.
func old(app, dev, id string) outbox.Entry {
	return outbox.Entry{
		ID: id, App: app, Device: deviceOf(dev), PushkeyTS: 1_772_366_400_123, Push: fmt.Appendf(nil, "{\"id\":%q,\n \"text\":\"<b>&amp;</b> ü\"}", id),
		Accepted: time.Date(2026, 11, 29, 7, 0, 0, 0, time.UTC), Expires: time.Date(2126, 11, 29, 7, 0, 0, 0, time.UTC),
	}
}

func oldBadge(app, dev, id string) outbox.Entry {
	e := old(app, dev, id)
	e.Replace = outbox.ReplaceBadge
	return e
}

// drainWhole leases and settles all entries of an app. It returns them by device, with the fixture's times.
func drainWhole(t *testing.T, b *Box, app string) map[[16]byte][]outbox.Entry {
	t.Helper()
	all := make(map[[16]byte][]outbox.Entry)
	for {
		if depths, err := b.Depths(t.Context()); err != nil || !slices.ContainsFunc(depths, func(d outbox.Depth) bool { return d.App == app }) {
			return all
		}
		leased, err := b.Lease(t.Context(), app, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leased {
			settle(t, b, l.Ref())
			if l.Expires = l.Expires.UTC(); !l.Accepted.IsZero() {
				l.Accepted = l.Accepted.UTC()
			}
			all[l.Device] = append(all[l.Device], l.Entry)
		}
	}
}

func TestAFileOfAnEarlierVersionIsDelivered(t *testing.T) {
	t.Parallel()
	b := ofFixture(t)
	if n, err := b.RouseHost(t.Context(), webApp, "", 0); err != nil || n != 3 {
		t.Errorf("RouseHost: %d, %v; want all 3 devices: none has a host", n, err)
	}
	page, _, err := b.List(t.Context(), iosApp, "", 10)
	if err != nil || len(page) != 5 || page[1].ID != "a2" || page[1].Replace != outbox.ReplaceBadge || page[0].Replace != "" {
		t.Errorf("listed are %+v, %v", page, err)
	}
	unknown := old(webApp, "e", "e1")
	unknown.Accepted, unknown.PushkeyTS = time.Time{}, 0
	for app, want := range map[string][]outbox.Entry{
		iosApp: {old(iosApp, "a", "a1"), oldBadge(iosApp, "a", "a2"), old(iosApp, "a", "a3"), old(iosApp, "b", "b1"), old(iosApp, "b", "b2")},
		webApp: {oldBadge(webApp, "c", "c1"), old(webApp, "d", "d1"), old(webApp, "d", "d2"), old(webApp, "d", "d3"), unknown},
	} {
		byDevice := make(map[[16]byte][]outbox.Entry)
		for _, e := range want {
			e.Standing = outbox.Guest // nothing is known of it
			byDevice[e.Device] = append(byDevice[e.Device], e)
		}
		if got := drainWhole(t, b, app); !reflect.DeepEqual(got, byDevice) {
			t.Errorf("%s: delivered were\n     %+v\nwant %+v", app, got, byDevice)
		}
	}
	got := recalled(t, b)
	for _, event := range []string{"event a1", "event a3", "event s1", "event b1", "delivered"} {
		if !got[deviceOf(event)] {
			t.Errorf("%s is not recalled", event)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d events are recalled, want 5", len(got))
	}
}

func TestABadgeUpdateTakesThePlaceOfOneOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	b := ofFixture(t)
	accept(t, b, oldBadge(iosApp, "a", "a4"))
	got := drainWhole(t, b, iosApp)[deviceOf("a")]
	if len(got) != 3 || got[0].ID != "a1" || got[1].ID != "a3" || got[2].ID != "a4" {
		t.Errorf("delivered were %+v", got)
	}
}

// newer returns entries that this version cannot have written.
func newer(t *testing.T) map[string][]byte {
	t.Helper()
	head, err := json.Marshal(map[string]any{"id": map[string]int{"v": 2}, "app": app, "device": []byte("0123456789abcdef"), "expires": 1})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"an ID that is a number": append(head, "\n{}"...),
		"another form":           []byte("\x02\x00\x01binary"),
		"a device of 32 bytes":   []byte("{\"id\":\"1\",\"app\":\"a\",\"device\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"expires\":1}\n{}"),
	}
}

func TestAnEntryOfANewerVersionIsSkippedAndKept(t *testing.T) {
	t.Parallel()
	b := ofFixture(t)
	seq := uint64(1000)
	for _, body := range newer(t) {
		seq++
		update(t, b, func(tx *bbolt.Tx) error { return tx.Bucket(entryBucket).Put(sequence(seq), signed(seq, body)) })
	}
	before := keys(t, b, entryBucket)
	cleanup(t, b)
	var log logBuffer
	b = provision(t, &Box{Path: b.Path})
	b.log = log.logger()
	open(t, b)
	if !strings.Contains(log.String(), "unreadable entries were skipped") || !strings.Contains(log.String(), "entries=3") ||
		!strings.Contains(log.String(), b.Path) {
		t.Errorf("logged %q", log.String())
	}
	accept(t, b, old(iosApp, "a", "after"))
	if n := keys(t, b, entryBucket); n != before+1 {
		t.Errorf("%d entries are in the file, want %d", n, before+1)
	}
	if got := drainWhole(t, b, iosApp)[deviceOf("a")]; len(got) != 4 {
		t.Errorf("delivered were %+v", got)
	}
}

// An entry of a later version may have members that this one does not know.
func TestAnEntryWithAnUnknownMemberIsRead(t *testing.T) {
	t.Parallel()
	body := []byte("{\"id\":\"1\",\"app\":\"a\",\"device\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"expires\":1,\"priority\":{\"x\":[1]}}\n{}")
	if e, err := decode(1, signed(1, body)); err != nil || e.ID != "1" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestADamagedFileOfAnEarlierVersionNamesFileAndCure(t *testing.T) {
	t.Parallel()
	good := fixture(t)
	garbage := bytes.Repeat([]byte{0xA5, 0x5A, 0}, len(good)/3)
	for name, content := range map[string][]byte{
		"cut in half":            good[:len(good)/2],
		"cut after a few pages":  good[:3*os.Getpagesize()],
		"one page":               good[:os.Getpagesize()],
		"half a page":            good[:os.Getpagesize()/2],
		"garbage":                garbage,
		"the second half broken": append(slices.Clone(good[:2*os.Getpagesize()]), garbage[:len(good)-2*os.Getpagesize()]...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := provision(t, &Box{Path: tempPath(t)})
			writeFile(t, b.Path, content)
			err := b.Open(t.Context())
			if err == nil { // no page in use was cut off
				err = errors.Join(wholeFixture(t, b), b.Recall(t.Context(), func([16]byte) {}))
				if err != nil {
					t.Errorf("it opens, and then: %v", err)
				}
				return
			}
			for _, want := range []string{b.Path, "move it away"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
		})
	}
}

// wholeFixture reports what is missing from the fixture.
func wholeFixture(t *testing.T, b *Box) error {
	t.Helper()
	for app, want := range map[string]int{iosApp: 5, webApp: 5} {
		n := 0
		for _, entries := range drainWhole(t, b, app) {
			n += len(entries)
		}
		if n != want {
			return fmt.Errorf("%s has %d entries, want %d", app, n, want)
		}
	}
	return nil
}
