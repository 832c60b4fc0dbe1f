package redis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestWhatOneGatewayLearnsTheOthersKnowAtOnce(t *testing.T) {
	t.Parallel()
	a, b := gateways(t, redistest.Start(t), nil)
	if isKnown(t, b, 1) {
		t.Error("known before it was rejected")
	}
	reject(t, a, 1, 5000)
	if !isKnown(t, b, 1) || !isKnown(t, a, 1) {
		t.Error("not known")
	}
}

func TestWhatAnotherGatewayForgetsIsRejectedForFiveSecondsAtMost(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	a, b := gateways(t, redistest.Start(t), c.now)
	reject(t, a, 1, 5000)
	isKnown(t, b, 1)
	if err := a.Forget(t.Context(), key(1)); err != nil {
		t.Fatal(err)
	}
	if isKnown(t, a, 1) {
		t.Error("the gateway that forgot it still knows it")
	}
	c.add(freshFor)
	if isKnown(t, b, 1) {
		t.Error("the other one still knows it")
	}
}

func TestVerdictsOfSeveralGatewaysMerge(t *testing.T) {
	t.Parallel()
	a, b := gateways(t, redistest.Start(t), nil)
	const each = 50
	var wg sync.WaitGroup
	for n := range int64(each) {
		wg.Go(func() { reject(t, a, 1, 1000*(2*n)) })
		wg.Go(func() { reject(t, b, 1, 1000*(2*n+1)) })
	}
	wg.Wait()
	for _, s := range []*Store{a, b} {
		r, err := s.Get(t.Context(), key(1))
		if err != nil || r.Condemned != 1000*(2*each-1) || r.Verdicts != 1 {
			t.Errorf("the record is %+v, %v", r, err)
		}
	}
}

// commands returns how many commands Redis has processed.
func commands(t *testing.T, s *Store, name string) string {
	t.Helper()
	info, err := s.shelf.Client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_"+name+":calls="); ok {
			calls, _, _ := strings.Cut(rest, ",")
			return calls
		}
	}
	return "0"
}

func TestARequestAsksRedisOnceForAllItsDevices(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	reject(t, s, 1, 5000)
	keys := []rejected.Key{key(0), key(1), key(2), key(1)}
	marks := make([]rejected.Mark, len(keys))
	gets := commands(t, s, "get")
	for n, want := range []string{"1", "2"} { // a key without a record is asked for again
		if err := s.Lookup(t.Context(), keys, marks); err != nil {
			t.Fatal(err)
		}
		if got := commands(t, s, "mget"); got != want {
			t.Errorf("after %d lookups: asked %s times, want %s", n+1, got, want)
		}
	}
	for range 5 {
		isKnown(t, s, 1)
	}
	if got := commands(t, s, "mget"); got != "2" {
		t.Errorf("a pushkey that is known to be dead was looked up: %s", got)
	}
	if got := commands(t, s, "get"); got != gets {
		t.Errorf("lookups got keys one by one: %s, before %s", got, gets)
	}
}

func TestThatARecordWasSeenIsWrittenDownHourly(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL), Expire: caddy.Duration(24 * time.Hour), now: c.now})
	reject(t, s, 1, 5000)
	stored := func() time.Time {
		t.Helper()
		s.shelf.flush()
		value, err := s.shelf.Client.Get(t.Context(), s.shelf.name(key(1))).Result()
		if err != nil {
			t.Fatal(err)
		}
		r, _ := decode(value)
		return r.LastSeen
	}
	written := c.now()
	for range 59 {
		c.add(time.Minute)
		isKnown(t, s, 1)
	}
	if got := stored(); !got.Equal(written) {
		t.Errorf("written at %v, want %v", got, written)
	}
	c.add(time.Minute)
	isKnown(t, s, 1)
	if got := stored(); !got.Equal(c.now()) {
		t.Errorf("written at %v, want %v", got, c.now())
	}
	ttl, err := s.shelf.Client.PTTL(t.Context(), s.shelf.name(key(1))).Result()
	if err != nil || ttl < 23*time.Hour || ttl > 24*time.Hour {
		t.Errorf("kept for %v, %v; want 24h", ttl, err)
	}
}

func TestRedisHoldsNoPushkey(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	const app, pushkey = "org.example.very-secret", "this-is-the-pushkey"
	if err := s.Reject(t.Context(), rejected.KeyOf(app, pushkey), rejected.Verdict{Reason: "gone", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	names, err := s.shelf.Client.Keys(t.Context(), "*").Result()
	if err != nil || len(names) != 1 || !strings.HasPrefix(names[0], "{matrix_push}:rejected:") {
		t.Fatalf("the keys are %q, %v", names, err)
	}
	value, err := s.shelf.Client.Get(t.Context(), names[0]).Result()
	if all := names[0] + value; err != nil || strings.Contains(all, app) || strings.Contains(all, pushkey) {
		t.Errorf("it has %s", all)
	}
}

func TestARecordThatCannotBeReadCondemnsNothing(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	for n, value := range []string{"", "garbage", "{}", `{"verdicts":"many"}`} {
		if err := s.shelf.Client.Set(t.Context(), s.shelf.name(key(n)), value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if isKnown(t, s, n) {
			t.Errorf("%q is a record", value)
		}
		reject(t, s, n, 5000)
		if !isKnown(t, s, n) {
			t.Errorf("%q stays", value)
		}
	}
}

// within runs an operation that must fail within the limit.
func within(t *testing.T, limit time.Duration, name string, fn func() error) {
	t.Helper()
	start := time.Now()
	if err := fn(); err == nil {
		t.Errorf("%s: no error", name)
	}
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v", name, took)
	}
}

func TestWithoutRedisEverythingFailsSoonAndThenGoesOn(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newTestClock()
	s := opened(t, &Store{Address: at(server.URL), now: c.now})
	reject(t, s, 1, 5000)
	isKnown(t, s, 1)
	fails := func(lookup, other time.Duration) {
		t.Helper()
		c.add(freshFor)
		ctx := context.Background()
		marks := []rejected.Mark{{Condemned: 7, ProbeAt: 7}}
		within(t, lookup, "Lookup", func() error { return s.Lookup(ctx, []rejected.Key{key(1)}, marks) })
		if marks[0] != (rejected.Mark{}) {
			t.Errorf("a mark together with the error: %+v", marks[0])
		}
		within(t, other, "Reject", func() error { return s.Reject(ctx, key(2), rejected.Verdict{Reason: "gone", At: s.now()}) })
		within(t, other, "Forget", func() error { return s.Forget(ctx, key(1)) })
		within(t, other, "Get", func() error { _, err := s.Get(ctx, key(1)); return err })
		within(t, other, "List", func() error { _, _, err := s.List(ctx, rejected.Query{}); return err })
	}
	server.Kill()
	fails(300*time.Millisecond, time.Second)
	server.Restart()
	if !isKnown(t, s, 1) {
		t.Error("the record is gone")
	}
	reject(t, s, 2, 5000)

	resume := server.Pause()
	fails(300*time.Millisecond, 5*time.Second)
	resume()
	reject(t, s, 3, 5000)
	if !isKnown(t, s, 3) {
		t.Error("no record")
	}
}

func TestItOpensWhereRedisIsNotThereYet(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	s := opened(t, &Store{Address: at(server.URL)})
	if err := s.Lookup(t.Context(), []rejected.Key{key(1)}, make([]rejected.Mark, 1)); err == nil {
		t.Error("no error without Redis")
	}
	server.Restart()
	reject(t, s, 1, 5000)
}

func TestAnImpossibleSettingFailsTheLoadAndNamesTheField(t *testing.T) {
	t.Parallel()
	storetest.Refused(t, tryProvision, []storetest.Setting[Store]{
		{Name: "no URL", Store: Store{}, Want: "url: "},
		{Name: "a wrong URL", Store: Store{Address: at("redis://user:" + storetest.Secret + "@host:port")}, Want: "url: "},
		{Name: "an empty placeholder", Store: Store{Address: at("{env.MATRIX_PUSH_NEVER_SET}")}, Want: "url: "},
		{Name: "a prefix with a brace", Store: Store{Address: at("redis://host"), Prefix: "{a}"}, Want: "prefix: "},
		{Name: "a negative expiry", Store: Store{Address: at("redis://host"), Expire: -1}, Want: "expire: "},
		{Name: "an expiry in no time", Store: Store{Address: at("redis://host"), Expire: 90}, Want: "expire: "},
	})
}

func TestAReloadSharesWhatIsInMemory(t *testing.T) {
	t.Parallel()
	old := opened(t, &Store{Address: at(redistest.Start(t).URL)})
	s := opened(t, &Store{Address: at(old.URL), Expire: caddy.Duration(time.Hour)})
	if s.shelf != old.shelf {
		t.Fatal("two of one store")
	}
	cleanup(t, old)
	reject(t, old, 1, 5000) // a request of the old configuration can finish
	cleanup(t, s)
	if err := s.Reject(t.Context(), key(3), rejected.Verdict{}); !errors.Is(err, rejected.ErrNotOpen) {
		t.Errorf("after the last configuration is gone: %v, want ErrNotOpen", err)
	}
	if err := s.Open(t.Context()); !errors.Is(err, rejected.ErrNotOpen) {
		t.Errorf("Open after Cleanup: %v, want ErrNotOpen", err)
	}
}

func TestWithoutProvisionNothingIsOpen(t *testing.T) {
	t.Parallel()
	var s Store
	cleanup(t, &s)
	ctx := context.Background()
	_, err := s.Get(ctx, key(1))
	_, _, listErr := s.List(ctx, rejected.Query{})
	for _, err := range []error{
		err, listErr, s.Lookup(ctx, nil, nil), s.Reject(ctx, key(1), rejected.Verdict{}), s.Forget(ctx, key(1)), s.Open(ctx),
	} {
		if !errors.Is(err, rejected.ErrNotOpen) {
			t.Errorf("error %v, want ErrNotOpen", err)
		}
	}
}

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	storetest.Caddyfile(t, []storetest.Segment[Store]{
		{Name: "a URL", In: `redis redis://localhost:6379/0`, Want: Store{Address: at("redis://localhost:6379/0")}},
		{Name: "a placeholder, which stays", In: `redis {env.REDIS}`, Want: Store{Address: at("{env.REDIS}")}},
		{Name: "an empty block", In: "redis redis://host {\n}", Want: Store{Address: at("redis://host")}},
		{
			Name: "everything", In: "redis redis://host {\nprefix push\nexpire 30d\n}",
			Want: Store{Address: at("redis://host"), Prefix: "push", Expire: caddy.Duration(30 * 24 * time.Hour)},
		},
		{Name: "nothing but the name", In: `redis`, Err: "wrong argument count"},
		{Name: "two URLs", In: `redis redis://a redis://b`, Err: "wrong argument count"},
		{Name: "an empty URL", In: `redis ""`, Err: "the URL is empty"},
		{Name: "an unknown option", In: "redis redis://a {\nttl 5m\n}", Err: `no option "ttl"`},
		{Name: "an option twice", In: "redis redis://a {\nexpire 1d\nexpire 2d\n}", Err: "expire is given twice"},
		{Name: "an option without a value", In: "redis redis://a {\nprefix\n}", Err: "wrong argument count"},
		{Name: "an option of two values", In: "redis redis://a {\nprefix a b\n}", Err: "wrong argument count"},
		{Name: "an empty prefix", In: "redis redis://a {\nprefix \"\"\n}", Err: "prefix: must not be empty"},
		{Name: "expire that is not a duration", In: "redis redis://a {\nexpire soon\n}", Err: `"soon" is not a positive duration`},
		{Name: "expire in the past", In: "redis redis://a {\nexpire -1h\n}", Err: `"-1h" is not a positive duration`},
	})
}
