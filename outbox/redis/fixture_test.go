package redis

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// These are the apps of the fixture.
const iosApp, webApp = "org.example.ios", "org.example.web.*"

var (
	fixtureTime = regexp.MustCompile(`@-?\d+@`)
	fixtureWord = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)
)

// ofFixture returns a box on a Redis with the keys that the code of commit 6ee0363 wrote, so long ago.
func ofFixture(t *testing.T, ago time.Duration) *Box {
	t.Helper()
	commands, err := os.ReadFile(filepath.Join("testdata", "6ee0363", "keys.txt"))
	if err != nil {
		t.Fatal(err)
	}
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	began := time.Now().Add(-ago)
	for line := range strings.Lines(string(commands)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = fixtureTime.ReplaceAllStringFunc(strings.TrimSpace(line), func(s string) string {
			ms, _ := strconv.ParseInt(strings.Trim(s, "@"), 10, 64)
			return fmt.Sprint(began.UnixMilli() + ms)
		})
		var args []any
		for _, word := range fixtureWord.FindAllString(line, -1) {
			if unquoted, err := strconv.Unquote(word); err == nil {
				word = unquoted
			}
			args = append(args, word)
		}
		if err := b.queue.Client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return b
}

// old returns the push of an entry of the fixture.
func old(id string) string { return fmt.Sprintf("{\"id\":%q,\n \"text\":\"<b>&amp;</b> ü\"}", id) }

// leaseWhole leases and settles an app's due entries until there are no more.
func leaseWhole(t *testing.T, b *Box, app string) map[string]outbox.Leased {
	t.Helper()
	all := make(map[string]outbox.Leased)
	for {
		leased, _, err := b.queue.shards[0].take(t.Context(), app, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(leased) == 0 {
			return all
		}
		for _, l := range leased {
			all[l.ID] = l
			settle(t, b, l.Ref())
		}
	}
}

func wantIDs(t *testing.T, all map[string]outbox.Leased, ids ...string) {
	t.Helper()
	var got []string
	for id := range all {
		got = append(got, id)
	}
	slices.Sort(got)
	if !slices.Equal(got, ids) {
		t.Errorf("leased were %q, want %q", got, ids)
	}
}

func TestKeysOfAnEarlierVersionAreDelivered(t *testing.T) {
	t.Parallel()
	b := ofFixture(t, outbox.LeaseTime+time.Second) // the gateway that wrote them is dead
	page, _, err := b.List(t.Context(), iosApp, "", 10)
	i := slices.IndexFunc(page, func(w outbox.Waiting) bool { return w.ID == "a2" })
	if err != nil || len(page) != 5 || i < 0 || page[i].Replace != outbox.ReplaceBadge || page[i].Host != "" {
		t.Errorf("listed are %+v, %v", page, err)
	}
	if depths, err := b.Depths(t.Context()); err != nil || len(depths) != 2 || depths[1].Entries != 5 || depths[1].Devices != 3 {
		t.Errorf("pending are %+v, %v", depths, err)
	}
	wantIDs(t, leaseWhole(t, b, webApp), "c1", "e1")
	if n, err := b.RouseHost(t.Context(), webApp, "", 0); err != nil || n != 1 {
		t.Errorf("RouseHost: %d, %v; want the one that was released for an hour", n, err)
	}
	web, ios := leaseWhole(t, b, webApp), leaseWhole(t, b, iosApp)
	wantIDs(t, web, "d1", "d2", "d3")
	wantIDs(t, ios, "a1", "a2", "a3", "b1", "b2")
	if web["d1"].Attempts != 1 {
		t.Errorf("d1 was attempted %d times, want once", web["d1"].Attempts)
	}
	for id, l := range ios {
		replace := map[string]string{"a2": outbox.ReplaceBadge}[id]
		if string(l.Push) != old(id) || l.App != iosApp || l.Device != device(id[:1]) || l.PushkeyTS != 1_772_366_400_123 || l.Host != "" ||
			l.Replace != replace || !l.Accepted.Equal(time.Date(2026, 11, 29, 7, 0, 0, 0, time.UTC)) {
			t.Errorf("%s was leased as %+v", id, l)
		}
	}
	for _, event := range []string{"event a1", "event a3", "event s1", "event b1", "delivered"} {
		claim(t, b, event, outbox.Done)
	}
	claim(t, b, "claimed", outbox.Taken)
	if err := b.queue.shards[0].sweep(t.Context()); err != nil {
		t.Error(err)
	}
	for _, app := range []string{iosApp, webApp} {
		if left := b.queue.Client.Exists(t.Context(), b.queue.shards[0].keys.of(app)...).Val(); left != 0 {
			t.Errorf("%d keys of %s are left", left, app)
		}
	}
}

func TestLeasesOfAGatewayOfAnEarlierVersionCount(t *testing.T) {
	t.Parallel()
	b := ofFixture(t, 0)
	wantIDs(t, leaseWhole(t, b, webApp), "e1") // c1 is leased, and d1 due in an hour
	wantIDs(t, leaseWhole(t, b, iosApp), "a1", "a2", "a3")
	for _, app := range []string{webApp, iosApp} {
		if _, err := b.RouseHost(t.Context(), app, "", 0); err != nil {
			t.Error(err)
		}
	}
	wantIDs(t, leaseWhole(t, b, webApp), "d1", "d2", "d3")
	wantIDs(t, leaseWhole(t, b, iosApp))
}

func TestEntriesJoinThoseOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	b := ofFixture(t, 0)
	join := func(id, replace, host, event string) {
		e := entry("a", id)
		e.App, e.Replace, e.Host = iosApp, replace, host
		if event != "" {
			e.Event, e.EventUntil = device(event), e.Expires
		}
		accept(t, b, e)
	}
	join("a4", outbox.ReplaceBadge, "one", "")
	join("again", "", "", "event a3") // the same event, which is pending
	join("a5", "room", "one", "")
	if n, err := b.RouseHost(t.Context(), iosApp, "one", 0); n != 0 || err != nil {
		t.Errorf("RouseHost: %d, %v; want none: the oldest entry has no host", n, err)
	}
	wantIDs(t, leaseWhole(t, b, iosApp), "a1", "a3", "a4", "a5") // a4 replaced a2
}

// An unreadable device must not stop the others. It stays, as a newer version may have written it.
func TestADeviceThatCannotBeReadHoldsNothingUp(t *testing.T) {
	t.Parallel()
	for name, packed := range map[string]string{
		"cut in half":            `{"items":[{"ts":1772366400123,"size":38,"id":"d1","seq":`,
		"garbage":                "\x00\xff not JSON",
		"a list":                 `[1,2]`,
		"a number":               `7`,
		"no entries":             `{"tries":0,"items":[]}`,
		"entries of a new form":  `{"tries":0,"items":{"v":2}}`,
		"an entry of a list":     `{"tries":0,"items":[[1]]}`,
		"no number":              `{"tries":0,"items":[{"id":"d1","size":1,"ts":0,"seq":"3"}]}`,
		"a host of another form": `{"tries":0,"items":[{"id":"d1","size":1,"ts":0,"seq":3,"host":{"name":"d"}}]}`,
		"a replace of another":   `{"tries":0,"items":[{"id":"d1","size":1,"ts":0,"seq":3,"replace":[1]}]}`,
		"no owner":               `{"tries":0,"items":[{"id":"d1","size":1,"ts":0,"seq":3,"runs":5}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := ofFixture(t, outbox.LeaseTime+time.Second)
			var log logBuffer
			again := provision(t, &Box{Address: at(b.URL)})
			again.log = log.logger()
			open(t, again)
			c, keys, ctx := b.queue.Client, b.queue.shards[0].keys.of(webApp), t.Context()
			key := deviceKey(device("d"))
			err := errors.Join(
				c.HSet(ctx, keys[2], key, packed).Err(), c.ZAdd(ctx, keys[0], redis.Z{Score: 1, Member: key}).Err(),
			)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if n, err := b.RouseHost(ctx, webApp, "", 0); err != nil || n > 2 {
					t.Errorf("RouseHost: %d, %v", n, err)
				}
				if _, _, err := b.List(ctx, webApp, "", 10); err != nil {
					t.Errorf("List: %v", err)
				}
			}
			wantIDs(t, leaseWhole(t, b, webApp), "c1", "e1")
			if n := strings.Count(log.String(), "unreadable"); n != 1 {
				t.Errorf("logged %d times, want once: %s", n, log.String())
			}
			if got := c.HGet(ctx, keys[2], key).Val(); got != packed {
				t.Errorf("it is %q now", got)
			}
			_, drop := b.Drop(ctx, webApp, device("d"), "")
			err = errors.Join(
				b.Settle(ctx, outbox.Ref{App: webApp, Device: device("d"), ID: "d1"}),
				b.Release(ctx, outbox.Ref{App: webApp, Device: device("d"), ID: "d1"}, time.Now(), true),
				b.Discard(ctx, webApp, device("d"), 1), b.Rouse(ctx, webApp), b.queue.shards[0].sweep(ctx), drop,
			)
			if err != nil {
				t.Error(err)
			}
		})
	}
}
