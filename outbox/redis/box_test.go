package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestProvisionConnectsToNothing(t *testing.T) {
	t.Parallel()
	cleanup(t, provision(t, &Box{Address: at("redis://127.0.0.1:1")}))
}

func TestAnImpossibleSettingFailsTheLoadAndNamesTheField(t *testing.T) {
	t.Parallel()
	storetest.Refused(t, tryProvision, []storetest.Setting[Box]{
		{Name: "no URL", Store: Box{}, Want: "url: "},
		{Name: "a wrong URL", Store: Box{Address: at("redis://user:" + storetest.Secret + "@host:port")}, Want: "url: "},
		{Name: "an empty placeholder", Store: Box{Address: at("{env.MATRIX_PUSH_NEVER_SET}")}, Want: "url: "},
		{Name: "a prefix with a brace", Store: Box{Address: at("redis://host"), Prefix: "a}"}, Want: "prefix: "},
		{Name: "a negative bound of an app", Store: Box{Address: at("redis://host"), MaxPerApp: -1}, Want: "max_per_app: "},
		{Name: "a negative bound of a device", Store: Box{Address: at("redis://host"), MaxPerDevice: -1}, Want: "max_per_device: "},
		{Name: "a negative size", Store: Box{Address: at("redis://host"), MaxSize: -1}, Want: "max_size: "},
	})
}

// wantNotOpen makes every call to a box that is not open.
func wantNotOpen(t *testing.T, b *Box) {
	t.Helper()
	ctx := context.Background()
	_, waiting := b.Waiting(ctx, app, device("a"))
	_, lease := b.Lease(ctx, app, 1)
	_, claim := b.Claim(ctx, device("a"), device("event"))
	_, depths := b.Depths(ctx)
	_, _, list := b.List(ctx, app, "", 10)
	_, rouse := b.RouseDevice(ctx, app, device("a"))
	_, host := b.RouseHost(ctx, app, "one", 1)
	_, drop := b.Drop(ctx, app, device("a"), "")
	for op, err := range map[string]error{
		"Accept":  tryAccept(ctx, b, entry("a", "1")),
		"Settle":  b.Settle(ctx, ref("a", "1")),
		"Release": b.Release(ctx, ref("a", "1"), entry("a", "1").Due, true),
		"Discard": b.Discard(ctx, app, device("a"), 1000),
		"Rouse":   b.Rouse(ctx, app),
		"Recall":  b.Recall(ctx, func([16]byte) { t.Error("Recall: an event") }),
		"Unclaim": b.Unclaim(ctx, device("a"), device("event")),
		"Waiting": waiting, "Lease": lease, "Claim": claim, "Depths": depths, "List": list, "RouseDevice": rouse, "RouseHost": host,
		"Drop": drop,
	} {
		if !errors.Is(err, outbox.ErrNotOpen) {
			t.Errorf("%s: error %v, want ErrNotOpen", op, err)
		}
	}
	b.Note(device("a"), device("event"), entry("a", "1").Expires)
}

func TestABoxIsOpenWhileItsConfigurationIsLive(t *testing.T) {
	t.Parallel()
	b := provision(t, &Box{Address: at(redistest.Start(t).URL)})
	wantNotOpen(t, b)
	open(t, b)
	open(t, b) // a second time is not an error
	accept(t, b, entry("a", "1"))
	leased := make(chan error)
	go func() {
		_, err := b.Lease(context.Background(), "another app", 1)
		leased <- err
	}()
	cleanup(t, b)
	if err := <-leased; !errors.Is(err, outbox.ErrNotOpen) {
		t.Errorf("a lease that waits: %v, want ErrNotOpen", err)
	}
	wantNotOpen(t, b)
	if err := b.Open(t.Context()); !errors.Is(err, outbox.ErrNotOpen) {
		t.Errorf("Open after Cleanup: %v, want ErrNotOpen", err)
	}
	cleanup(t, new(Box))
}

func TestAReloadSharesTheQueueAndWhatRunsCanEnd(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	old := opened(t, &Box{Address: at(s.URL)})
	next := opened(t, &Box{Address: at(s.URL), MaxPerApp: 5})
	if old.queue != next.queue {
		t.Fatal("two of one queue")
	}
	one, two := entry("a", "1"), entry("b", "2")
	one.Running = true
	accept(t, old, one, two)
	cleanup(t, old)
	if ids := leaseIn(t, next, patience); len(ids) != 1 || ids[0] != "2" {
		t.Errorf("leased %q", ids)
	}
	cleanup(t, next) // the next configuration has another outbox
	settle(t, old, one.Ref())
	settle(t, next, two.Ref())
	wantNotOpen(t, next)
	b := opened(t, &Box{Address: at(s.URL)})
	if left := inRedis(t, b); left != 0 {
		t.Errorf("%d entries are left", left)
	}
}

func TestAWrongPasswordFailsTheLoadAndIsNotShown(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--requirepass", "right")
	b := provision(t, &Box{Address: at(strings.Replace(s.URL, "unix://", "unix://default:s3cret@", 1))})
	if err := b.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Open: %v", err)
	}
	wantNotOpen(t, b)
}

func TestM06_TheOutboxNeedsOnlyThePermissionsOfThePage(t *testing.T) {
	t.Parallel()
	for _, servers := range storetest.LimitedServers {
		t.Run(servers.Name, func(t *testing.T) {
			t.Parallel()
			at, denied := servers.Start(t)
			useAll(t, opened(t, &Box{Address: at, route: last}))
			if denied := denied(); len(denied) > 0 {
				t.Errorf("Redis denied %q", denied)
			}
		})
	}
}

// useAll uses everything that a box can do in Redis.
func useAll(t *testing.T, b *Box) {
	t.Helper()
	e := entry("a", "1")
	e.Event, e.EventUntil, e.Host, e.Standing = device("event"), e.Expires, "push.example.org", outbox.Proven
	accept(t, b, e)
	claim(t, b, "event", outbox.Done)
	b.MaxPerApp = 2 * b.shards()
	accept(t, b, grouped("g", outbox.Guest, "guest"))
	displace(t, b, grouped("p", outbox.Proven, "proven"), "guest")
	settle(t, b, ref("proven", "proven"))
	if page, _, err := b.List(t.Context(), app, "", 10); err != nil || len(page) != 1 {
		t.Errorf("listed are %v, %v", page, err)
	}
	_, depths := b.Depths(t.Context())
	_, rouse := b.RouseDevice(t.Context(), app, device("a"))
	_, host := b.RouseHost(t.Context(), app, e.Host, 1)
	_, drop := b.Drop(t.Context(), app, device("a"), "another")
	discard := b.Discard(t.Context(), app, device("b"), 1000)
	if err := errors.Join(depths, rouse, host, drop, discard); err != nil {
		t.Error(err)
	}
	if ids := drain(t, b); len(ids) != 1 {
		t.Errorf("it had %q", ids)
	}
	b.Note(device("a"), device("noted"), e.Expires)
	b.Vouch(device("vouched"), e.Expires)
	s := b.queue.of(device("a"))
	err := errors.Join(
		s.flush(t.Context()), b.Vouched(t.Context(), func([16]byte) {}), s.sweep(t.Context()), s.repair(t.Context(), app),
		b.Rouse(t.Context(), app), b.Recall(t.Context(), func([16]byte) {}), b.Unclaim(t.Context(), e.Device, device("event")), b.Check(t.Context()),
	)
	if err != nil {
		t.Error(err)
	}
}

func TestExpiredPushesThatNobodyTriedAreReported(t *testing.T) {
	t.Parallel()
	b := provision(t, &Box{Address: at(redistest.Start(t).URL)})
	var lost []string
	b.OnLoss(func(app string, why outbox.Loss, entries int) {
		lost = append(lost, fmt.Sprint(entries, " of ", app, " ", why))
	})
	open(t, b)
	for _, id := range []string{"1", "2", "3"} {
		e := entry("a", id)
		if e.Expires = time.Now().Add(-sweepGrace - time.Minute); id == "3" {
			e.Expires = time.Now().Add(time.Hour)
		}
		accept(t, b, e)
	}
	for range 2 {
		if err := b.queue.shards[0].sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"2 of " + app + " expired"}; !slices.Equal(lost, want) {
		t.Errorf("reported is %q, want %q", lost, want)
	}
}

func TestRedisHoldsWhatItIsTold(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL), Prefix: "push [*?]"})
	e := entry("a", "1")
	e.Event, e.EventUntil = device("event"), e.Expires
	accept(t, b, e)
	names, err := b.queue.Client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "{push [*?]}:outbox:") {
			t.Errorf("it has the key %s", name)
		}
	}
	var recalled []string
	if err := b.Recall(t.Context(), func(event [16]byte) { recalled = append(recalled, fmt.Sprint(event)) }); err != nil {
		t.Error(err)
	}
	if len(recalled) != 1 || recalled[0] != fmt.Sprint(e.Event) {
		t.Errorf("recalled %q", recalled)
	}
	settle(t, b, e.Ref())
	if err := b.queue.shards[0].sweep(t.Context()); err != nil {
		t.Error(err)
	}
	names, err = b.queue.Client.Keys(t.Context(), "*").Result()
	slices.Sort(names)
	keys := b.queue.shards[0].keys
	if want := []string{keys.event(e.Event), keys.events, keys.gone(e.Ref())}; err != nil || !slices.Equal(names, want) {
		t.Errorf("left are %q, %v; want the event, its place among the events, and the grave", names, err)
	}
	if left := b.queue.Client.PTTL(t.Context(), b.queue.shards[0].keys.gone(e.Ref())).Val(); left <= 0 || left > outbox.LeaseTime {
		t.Errorf("the grave is kept for %v", left)
	}
}

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	storetest.Caddyfile(t, []storetest.Segment[Box]{
		{Name: "a URL", In: `redis redis://localhost:6379/0`, Want: Box{Address: at("redis://localhost:6379/0")}},
		{Name: "a placeholder, which stays", In: `redis {env.REDIS}`, Want: Box{Address: at("{env.REDIS}")}},
		{Name: "an empty block", In: "redis redis://host {\n}", Want: Box{Address: at("redis://host")}},
		{
			Name: "everything", In: "redis redis://host {\nprefix push\nmax_per_app 5000\nmax_per_device 20\nmax_size 1GiB\n}",
			Want: Box{Address: at("redis://host"), Prefix: "push", MaxPerApp: 5000, MaxPerDevice: 20, MaxSize: 1 << 30},
		},
		{Name: "nothing but the name", In: `redis`, Err: "wrong argument count"},
		{Name: "two URLs", In: `redis redis://a redis://b`, Err: "wrong argument count"},
		{Name: "an empty URL", In: `redis ""`, Err: "the URL is empty"},
		{Name: "an unknown option", In: "redis redis://a {\nttl 5m\n}", Err: `no option "ttl"`},
		{Name: "an option twice", In: "redis redis://a {\nprefix a\nprefix a\n}", Err: "prefix is given twice"},
		{Name: "an option without a value", In: "redis redis://a {\nmax_per_app\n}", Err: "wrong argument count"},
		{Name: "an option of two values", In: "redis redis://a {\nmax_per_app 1 2\n}", Err: "wrong argument count"},
		{Name: "an empty prefix", In: "redis redis://a {\nprefix \"\"\n}", Err: "prefix: must not be empty"},
		{Name: "a word for a number", In: "redis redis://a {\nmax_per_app many\n}", Err: `max_per_app: "many" is not a number above 0`},
		{Name: "a number of zero", In: "redis redis://a {\nmax_per_device 0\n}", Err: `max_per_device: "0" is not a number above 0`},
		{Name: "a word for a size", In: "redis redis://a {\nmax_size large\n}", Err: `max_size: "large" is not a size`},
		{Name: "a size beyond all bounds", In: "redis redis://a {\nmax_size 15EiB\n}", Err: `max_size: "15EiB" is not a size`},
	})
}
