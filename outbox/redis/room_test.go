package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// grouped returns the entry of a new device.
func grouped(group string, s outbox.Standing, id string) outbox.Entry {
	e := entry(id, id)
	e.Group, e.Standing = group, s
	return e
}

// displace accepts an entry, and expects the entries that it displaces.
func displace(t *testing.T, b *Box, e outbox.Entry, want ...string) {
	t.Helper()
	refs, err := b.Accept(t.Context(), e)
	var got []string
	for _, r := range refs {
		got = append(got, r.ID)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s displaced %q, %v; want %q", e.ID, got, err, want)
	}
}

// checkRoom compares the counts of the room with the entries.
func checkRoom(t *testing.T, b *Box) {
	t.Helper()
	for _, s := range b.queue.shards {
		checkRoomOf(t, s)
	}
}

func checkRoomOf(t *testing.T, s *shard) {
	t.Helper()
	ctx, c, keys := context.Background(), s.queue.Client, s.keys.of(app)
	stood := append(c.ZRange(ctx, keys[8], 0, -1).Val(), c.ZRange(ctx, keys[9], 0, -1).Val()...)
	idle := make(map[string]bool)
	for _, name := range c.ZRange(ctx, keys[8], 0, -1).Val() {
		idle[strings.Join(strings.Split(name, " ")[:2], " ")] = true
	}
	var labels []string
	shares := make(map[string]string)
	count := func(field string, n int64) {
		was, _ := strconv.ParseInt(shares[field], 10, 64)
		shares[field] = fmt.Sprint(was + n)
	}
	for key, packed := range c.HGetAll(ctx, keys[2]).Val() {
		var d struct {
			Items []struct {
				Seq      int64
				Size     int64
				Group    string
				Standing *int
			}
		}
		if err := json.Unmarshal([]byte(packed), &d); err != nil {
			t.Fatal(err)
		}
		for _, it := range d.Items {
			standing := 1
			if it.Standing != nil {
				standing = *it.Standing
			}
			labels = append(labels, fmt.Sprintf("%d %s %016d %s %d", standing, it.Group, it.Seq, key, it.Size))
			for _, of := range []string{fmt.Sprint(standing), fmt.Sprintf("%d %s", standing, it.Group)} {
				count("e"+of, 1)
				count("b"+of, it.Size)
			}
		}
	}
	slices.Sort(stood)
	slices.Sort(labels)
	if !slices.Equal(stood, labels) {
		t.Errorf("idle and busy are %q, want %q", stood, labels)
	}
	if got := c.HGetAll(ctx, keys[10]).Val(); !maps.Equal(got, shares) {
		t.Errorf("the shares are %v, want %v", got, shares)
	}
	var ranked, want []string
	for _, z := range c.ZRangeWithScores(ctx, keys[11], 0, -1).Val() {
		ranked = append(ranked, fmt.Sprintf("%s %.0f", z.Member, z.Score))
	}
	for field, n := range shares {
		if name := field[1:]; strings.Contains(name, " ") && idle[name] && name[0] != '2' {
			floor := int64(name[0]-'0') * 2
			if field[0] == 'b' {
				floor++
			}
			has, _ := strconv.ParseInt(n, 10, 64)
			want = append(want, fmt.Sprintf("%s %d", field, floor<<50+has))
		}
	}
	slices.Sort(ranked)
	slices.Sort(want)
	if !slices.Equal(ranked, want) {
		t.Errorf("ranked %q, want %q", ranked, want)
	}
}

// A gateway that got no answer makes sure, and reports the displaced entries.
func TestWhatMadeWayIsReportedWhenTheAnswerWasLost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := opened(t, &Box{Address: at(server.URL + "?read_timeout=20s&write_timeout=20s"), MaxPerApp: 2})
	accept(t, b, grouped("a", outbox.Stranger, "old"), grouped("c", outbox.Proven, "proven"))
	resume := server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	e := grouped("b", outbox.Guest, "new")
	if _, err := b.Accept(ctx, e); !errors.Is(err, outbox.ErrUnsure) {
		t.Errorf("Accept: %v, want ErrUnsure", err)
	}
	resume()
	displace(t, b, e, "old")
	displace(t, b, e)
	if n := inRedis(t, b); n != 2 {
		t.Errorf("%d entries", n)
	}
}

func TestAFullRedisDisplacesNothing(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), MaxPerApp: 2})
	old := grouped("a", outbox.Stranger, "old")
	old.Replace = "room"
	accept(t, b, old, grouped("c", outbox.Proven, "proven"))
	if err := b.queue.Client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	newer := old
	newer.ID = "newer"
	for _, e := range []outbox.Entry{grouped("b", outbox.Guest, "new"), newer} {
		if _, err := b.Accept(t.Context(), e); err == nil || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("Accept: %v, want OOM", err)
		}
	}
	if ids := listedIDs(t, b, 10); !slices.Equal(ids, []string{"old", "proven"}) {
		t.Errorf("listed are %q", ids)
	}
	inRedis(t, b)
	if ids := drain(t, b); len(ids) != 2 {
		t.Errorf("it had %q", ids)
	}
	inRedis(t, b)
}

func TestAGroupIsOneWhateverItsName(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), MaxPerApp: 8})
	names := []string{"a", "a b", "a!", "2001:db8::/48", "1 a", "é%*[]", strings.Repeat("x", 300)}
	for n, name := range names {
		accept(t, b, grouped(name, outbox.Guest, fmt.Sprint(n)))
	}
	accept(t, b, grouped("a b", outbox.Guest, "more"))
	displace(t, b, grouped("other", outbox.Guest, "other"), "more")
	for n, w := range listAll(t, b, 10) {
		if i, err := strconv.Atoi(w.ID); err == nil && w.Group != names[i] {
			t.Errorf("entry %d is of %q, want %q", n, w.Group, names[i])
		}
	}
	if ids := drain(t, b); len(ids) != 8 {
		t.Errorf("it had %q", ids)
	}
	inRedis(t, b)
}

// olderGateway is a gateway of commit 2450e6d, which shared the outbox before there were groups: its scripts do not know them.
type olderGateway struct {
	t *testing.T
	b *Box
}

func (o olderGateway) run(script string, more []string, args ...any) {
	o.t.Helper()
	var text strings.Builder
	for _, name := range []string{"queue", script} {
		lua, err := os.ReadFile(filepath.Join("testdata", "2450e6d", name+".lua"))
		if err != nil {
			o.t.Fatal(err)
		}
		text.Write(lua)
	}
	keys := append(o.b.queue.shards[0].keys.of(app)[:8], more...)
	if err := redis.NewScript(text.String()).Run(o.t.Context(), o.b.queue.Client, keys, args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		o.t.Fatalf("%s: %v", script, err)
	}
}

func (o olderGateway) accept(e outbox.Entry, running bool) {
	o.t.Helper()
	value, err := json.Marshal(map[string]any{"id": e.ID, "app": e.App, "device": e.Device[:], "expires": e.Expires.UnixMilli()})
	if err != nil {
		o.t.Fatal(err)
	}
	args, err := json.Marshal(map[string]any{
		"id": e.ID, "size": len(e.Push), "host": e.Host, "replace": "", "ts": 1000, "accepted": 0, "running": running, "delay": 0,
		"expires": time.Hour.Milliseconds(), "remember": 0, "lease": outbox.LeaseTime.Milliseconds(),
		"entries": 1000, "per_device": 200, "max_size": 1 << 20,
	})
	if err != nil {
		o.t.Fatal(err)
	}
	k := o.b.queue.shards[0].keys
	o.run("accept", []string{k.apps, k.event(e.Event), k.gone(e.Ref()), k.discarded(e.App, e.Device)}, e.App, deviceKey(e.Device), "older",
		append(append(value, '\n'), e.Push...), args)
}

func (o olderGateway) settle(r outbox.Ref) {
	o.t.Helper()
	o.run("settle", []string{o.b.queue.shards[0].keys.gone(r)}, deviceKey(r.Device), r.ID, "older", outbox.LeaseTime.Milliseconds())
}

func TestGatewaysOfAnEarlierVersionShareTheRoom(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), MaxPerApp: 8})
	older := olderGateway{t, b}
	accept(t, b,
		grouped("a", outbox.Stranger, "a1"), grouped("a", outbox.Stranger, "a2"), grouped("b", outbox.Stranger, "b1"),
		grouped("c", outbox.Guest, "c1"), grouped("c", outbox.Guest, "c2"),
	)
	older.accept(entry("o1", "o1"), false)
	older.accept(entry("o2", "o2"), true)
	older.accept(entry("o3", "o3"), false)
	older.settle(ref("a2", "a2")) // stays in the keys that the older gateway does not know
	older.settle(ref("c2", "c2"))
	accept(t, b, grouped("d", outbox.Guest, "d1"), grouped("d", outbox.Guest, "d2"))

	displace(t, b, grouped("e", outbox.Guest, "e1"), "a1")
	displace(t, b, grouped("e", outbox.Guest, "e2"), "b1")
	displace(t, b, grouped("p", outbox.Proven, "p1"), "e2")
	displace(t, b, grouped("p", outbox.Proven, "p2"), "d2")
	for n := range 4 { // unknown entries are not displaced, and stop nothing
		refs, err := b.Accept(t.Context(), grouped("q", outbox.Proven, fmt.Sprint("q", n)))
		if n < 3 && len(refs) != 1 || n == 3 && !errors.Is(err, outbox.ErrFull) {
			t.Errorf("%v were displaced, %v", refs, err)
		}
		for _, r := range refs {
			if strings.HasPrefix(r.ID, "o") {
				t.Errorf("%s was displaced before it was counted", r.ID)
			}
		}
	}
	if err := b.queue.shards[0].sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	inRedis(t, b)
	displace(t, b, grouped("r", outbox.Proven, "r1"), "o3") // the newest of those that may be displaced
	displace(t, b, grouped("s", outbox.Proven, "s1"), "o1")
	if _, err := b.Accept(t.Context(), grouped("t", outbox.Proven, "t1")); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("Accept: %v, want ErrFull: o2 is under way", err)
	}
	inRedis(t, b)
}

// Entries that this version leases and releases are counted without a sweep. Leases of an earlier version are noticed.
func TestEntriesOfAnEarlierVersionArePlacedWhenTheyAreTried(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), MaxPerApp: 4})
	older := olderGateway{t, b}
	older.accept(entry("o1", "o1"), false)
	accept(t, b, grouped("a", outbox.Stranger, "a1"), grouped("p", outbox.Proven, "p1"), grouped("p", outbox.Proven, "p2"))
	if ids := leaseIn(t, b, patience); len(ids) != 4 {
		t.Fatalf("leased %q", ids)
	}
	inRedis(t, b)
	for _, id := range []string{"o1", "a1", "p1", "p2"} {
		if err := b.Release(t.Context(), ref(id, id), time.Now(), true); err != nil {
			t.Fatal(err)
		}
	}
	inRedis(t, b)
	older.run("lease", nil, "older", 10, outbox.LeaseTime.Milliseconds())
	if _, err := b.Accept(t.Context(), grouped("c", outbox.Proven, "c1")); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("Accept: %v, want ErrFull: all are leased", err)
	}
	inRedis(t, b)
	older.run("release", nil, deviceKey(device("o1")), "o1", "older", 0, 1)
	older.run("release", nil, deviceKey(device("a1")), "a1", "older", 0, 1)
	if ids := leaseIn(t, b, patience); len(ids) != 2 {
		t.Fatalf("leased %q", ids)
	}
	for _, id := range []string{"o1", "a1"} {
		if err := b.Release(t.Context(), ref(id, id), time.Now(), true); err != nil {
			t.Fatal(err)
		}
	}
	displace(t, b, grouped("c", outbox.Proven, "c1"), "a1")
	displace(t, b, grouped("d", outbox.Proven, "d1"), "o1")
	inRedis(t, b)
}

// An earlier version that emptied the outbox left counts that it does not know. They do not count for ever.
func TestWhatAnEarlierVersionLeftBehindGoes(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), MaxPerApp: 8})
	older := olderGateway{t, b}
	for n := range 4 {
		accept(t, b, grouped("a", outbox.Stranger, fmt.Sprint(n)))
	}
	for n := range 4 {
		older.settle(ref(fmt.Sprint(n), fmt.Sprint(n)))
	}
	displace(t, b, grouped("a", outbox.Stranger, "next")) // the strangers' share is not used up
	inRedis(t, b)

	accept(t, b, grouped("a", outbox.Guest, "a1"), grouped("a", outbox.Guest, "a2"))
	older.settle(ref("a1", "a1"))
	if err := b.queue.shards[0].sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	inRedis(t, b)
	drain(t, b)
	if err := b.queue.shards[0].sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.queue.Client.Exists(t.Context(), b.queue.shards[0].keys.of(app)...).Val(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// A device that cannot be read, such as one of a later version, is not displaced and stops nothing.
func TestAnUnreadableDeviceMakesNoWay(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), MaxPerApp: 3})
	accept(t, b, grouped("a", outbox.Stranger, "a1"), grouped("a", outbox.Stranger, "a2"), grouped("p", outbox.Proven, "p1"))
	if err := b.queue.Client.HSet(t.Context(), b.queue.shards[0].keys.of(app)[2], deviceKey(device("a2")), `{"v":2}`).Err(); err != nil {
		t.Fatal(err)
	}
	displace(t, b, grouped("c", outbox.Guest, "c1"), "a1")
	if _, err := b.Accept(t.Context(), grouped("d", outbox.Guest, "d1")); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("Accept: %v, want ErrFull", err)
	}
}

// An attack fills the room from 4,000 hosts. Redis handles an Accept in no time, whoever pushes.
func TestAFullRoomOfManyHostsDoesNotSlowRedisDown(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("fills an outbox")
	}
	const entries, hosts = 10_000, 4_000
	b := opened(t, &Box{Address: at(redistest.Start(t).URL + "?read_timeout=20s&write_timeout=20s"), MaxPerApp: entries})
	ctx := t.Context()
	pipe := b.queue.Client.Pipeline()
	run := func(e outbox.Entry) {
		keys, args, err := b.queue.shards[0].acceptance(&e, b.bounds())
		if err != nil {
			t.Fatal(err)
		}
		acceptScript.EvalSha(ctx, pipe, keys, args...)
	}
	accept(t, b, grouped("p", outbox.Proven, "first")) // loads the script
	for n := range entries {
		run(grouped(fmt.Sprintf("host%d.example.org", n/2%hosts), outbox.Standing(n%2), fmt.Sprint(n)))
		if pipe.Len() == 100 {
			if _, err := pipe.Exec(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	calls := func() (n int) { // commands of scripts are counted, too
		for _, stats := range b.queue.Client.InfoMap(ctx, "commandstats").Val()["Commandstats"] {
			for _, field := range strings.Split(stats, ",") {
				if of, ok := strings.CutPrefix(field, "calls="); ok {
					of, _ := strconv.Atoi(of)
					n += of
				}
			}
		}
		return n
	}
	before := calls()
	const more = 500
	for n := range more {
		displaced, err := b.Accept(ctx, grouped("honest.example", outbox.Proven, fmt.Sprint("p", n)))
		if err != nil || len(displaced) != 1 {
			t.Fatalf("%v were displaced, %v", displaced, err)
		}
	}
	each := (calls() - before) / more
	t.Logf("each took %d commands", each)
	if each > 100 { // looking at each entry, or group, would take thousands
		t.Errorf("each took %d commands", each)
	}
	inRedis(t, b)
}
