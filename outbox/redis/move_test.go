package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const movingDevices = 7

// filled returns an address, under a prefix, with the pushes of some devices: the nth has n of them. One device is due in an hour.
func filled(t *testing.T, at redisclient.Address, prefix string, shards int) *Box {
	t.Helper()
	b := opened(t, &Box{Address: at, Prefix: prefix, Shards: shards})
	for n := range movingDevices {
		for i := range n + 1 {
			e := entry(fmt.Sprint(n), fmt.Sprintf("%d.%d", n, i))
			e.Host, e.Group, e.Standing, e.Replace = "one", "group", outbox.Standing(n%3), fmt.Sprint("about ", i)
			if e.Push = []byte(e.ID); n == 0 {
				e.Due = time.Now().Add(time.Hour)
			}
			accept(t, b, e)
		}
	}
	return b
}

// wantMoved opens an outbox, and expects all pushes that filled left, once and in order.
func wantMoved(t *testing.T, b *Box) {
	t.Helper()
	open(t, b)
	if n := inRedis(t, b); n != movingDevices*(movingDevices+1)/2 {
		t.Errorf("%d pushes are in Redis", n)
	}
	if n, err := b.RouseHost(t.Context(), app, "one", 0); err != nil || n != movingDevices {
		t.Errorf("%d devices of the host were roused, %v", n, err)
	}
	next := make(map[[16]byte]int)
	for left := movingDevices * (movingDevices + 1) / 2; left > 0; {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		leased, err := b.Lease(ctx, app, 100)
		cancel()
		if err != nil {
			t.Fatalf("Lease: %v; %d pushes are lost", err, left)
		}
		for _, l := range leased {
			name, i, _ := strings.Cut(l.ID, ".")
			if l.Device != device(name) || i != fmt.Sprint(next[l.Device]) || string(l.Push) != l.ID || l.Standing.String() == "" || l.Host != "one" {
				t.Errorf("leased is %+v, want entry %d of its device", l, next[l.Device])
			}
			if (name == "0") != (l.Attempts == 1) {
				t.Errorf("%s was attempted %d times", l.ID, l.Attempts)
			}
			next[l.Device]++
			left--
			settle(t, b, l.Ref())
		}
	}
	if ids := drain(t, b); len(ids) > 0 {
		t.Errorf("%q are there twice", ids)
	}
	if depths, err := b.Depths(t.Context()); err != nil || len(depths) > 0 {
		t.Errorf("left are %+v, %v", depths, err)
	}
}

// killed lets so many commands through, and then fails all others as if the process or the connection had ended: before the server did the
// last one, or after that.
type killed struct {
	redis.Hook
	left  atomic.Int64
	after bool
}

var errKilled = errors.New("killed")

func (k *killed) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (k *killed) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (k *killed) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		left := k.left.Add(-1)
		if left == 0 && k.after {
			_ = next(ctx, cmd)
		}
		if left <= 0 {
			cmd.SetErr(errKilled)
			return errKilled
		}
		return next(ctx, cmd)
	}
}

func TestM17_AMoveThatIsKilledAtAnyStepIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t).URL
	for _, tt := range []struct{ from, to int }{{1, 5}, {5, 3}, {3, 1}} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("from %d to %d, after %v", tt.from, tt.to, after), func(t *testing.T) {
				t.Parallel()
				address := at(fmt.Sprintf("%s?read_timeout=9%d%d00ms", url, tt.from, tt.to))
				victim := at(fmt.Sprintf("%s?read_timeout=9%d%d01ms&dial_timeout=%t", url, tt.from, tt.to, after))
				victim.URL = strings.Replace(strings.Replace(victim.URL, "true", "1001ms", 1), "false", "1002ms", 1)
				client, err := redisclient.Load(victim)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = client.Unload() }()
				k := &killed{after: after}
				client.AddHook(k)
				for step := int64(1); ; step++ {
					prefix := fmt.Sprintf("%d-%d-%t-%d", tt.from, tt.to, after, step)
					cleanup(t, filled(t, address, prefix, tt.from))
					k.left.Store(step)
					dead := provision(t, &Box{Address: victim, Prefix: prefix, Shards: tt.to})
					died := dead.Move(t.Context(), func(int) {})
					cleanup(t, dead)
					if died != nil && !errors.Is(died, errKilled) {
						t.Fatalf("killed at step %d: %v", step, died)
					}
					b := provision(t, &Box{Address: address, Prefix: prefix, Shards: tt.to})
					if err := b.Move(t.Context(), func(int) {}); err != nil {
						t.Fatalf("the move after step %d: %v", step, err)
					}
					wantMoved(t, b)
					cleanup(t, b)
					if died == nil {
						t.Logf("%d steps", step)
						return
					}
				}
			})
		}
	}
}

func TestM17_AMoveThatWasNotFinishedIsTakenBack(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t).URL
	cleanup(t, filled(t, at(url), "p", 2))
	victim := at(url + "?read_timeout=9s")
	client, err := redisclient.Load(victim)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Unload() }()
	k := new(killed)
	k.left.Store(30)
	client.AddHook(k)
	if err := provision(t, &Box{Address: victim, Prefix: "p", Shards: 5}).Move(t.Context(), func(int) {}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	for shards, want := range map[int]string{5: "move-shards", 2: "move-shards", 7: "move-shards"} {
		if err := provision(t, &Box{Address: at(url), Prefix: "p", Shards: shards}).Open(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("opened with %d shards: %v", shards, err)
		}
	}
	if err := provision(t, &Box{Address: at(url), Prefix: "p", Shards: 7}).Move(t.Context(), func(int) {}); err == nil {
		t.Error("moved to a third number")
	}
	b := provision(t, &Box{Address: at(url), Prefix: "p", Shards: 2})
	if err := b.Move(t.Context(), func(int) {}); err != nil {
		t.Fatal(err)
	}
	wantMoved(t, b)
}

func TestM16_AnotherNumberOfShardsIsRefusedWhilePushesArePending(t *testing.T) {
	t.Parallel()
	address := at(redistest.Start(t).URL)
	for _, tt := range []struct{ from, to int }{{1, 5}, {5, 1}, {5, 3}} {
		prefix := fmt.Sprintf("%d-%d", tt.from, tt.to)
		old := opened(t, &Box{Address: address, Prefix: prefix, Shards: tt.from, gateway: "old"})
		accept(t, old, entry("a", "1"))
		err := provision(t, &Box{Address: address, Prefix: prefix, Shards: tt.to}).Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), "move-shards") || !strings.HasPrefix(err.Error(), "shards: ") {
			t.Errorf("from %d to %d: error %v", tt.from, tt.to, err)
		}
		accept(t, old, entry("a", "2")) // it goes on
		if ids := drain(t, old); !slices.Equal(ids, []string{"1", "2"}) {
			t.Errorf("from %d to %d: it had %q", tt.from, tt.to, ids)
		}
		b := opened(t, &Box{Address: address, Prefix: prefix, Shards: tt.to})
		accept(t, b, entry("a", "3"))
		if err := tryAccept(t.Context(), old, entry("a", "4")); !errors.Is(err, errShards) || errors.Is(err, outbox.ErrUnsure) {
			t.Errorf("from %d to %d: the old gateway: %v", tt.from, tt.to, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		got, err := old.Lease(ctx, app, 1)
		cancel()
		if !errors.Is(err, errShards) {
			t.Errorf("from %d to %d: the old gateway leases %v, %v", tt.from, tt.to, got, err)
		}
		if ids := drain(t, b); !slices.Equal(ids, []string{"3"}) {
			t.Errorf("from %d to %d: it had %q", tt.from, tt.to, ids)
		}
	}
}

func TestM18_AMoveWaitsForAttemptsUnderWayWhileGatewaysServe(t *testing.T) {
	t.Parallel()
	address := at(redistest.Start(t).URL)
	old := filled(t, address, "p", 2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	leased, err := old.Lease(ctx, app, 2)
	if err != nil || len(leased) != 2 {
		t.Fatal(leased, err)
	}
	running := entry("running", "r")
	running.Running = true
	accept(t, old, running)
	b := provision(t, &Box{Address: address, Prefix: "p", Shards: 5, gateway: "new"})
	moved := make(chan error)
	go func() { moved <- b.Move(context.Background(), func(int) {}) }()
	tried := 0
	waitUntil(t, "the old gateway takes nothing", func() bool {
		tried++
		late := entry("late", fmt.Sprint(tried))
		err := tryAccept(t.Context(), old, late)
		if err == nil {
			settle(t, old, late.Ref())
		}
		return errors.Is(err, errShards)
	})
	for _, s := range old.queue.shards {
		if got, _, err := s.take(t.Context(), app, 10); !errors.Is(err, errShards) {
			t.Errorf("leased are %v, %v", got, err)
		}
	}
	// Entries that are there already can be accepted again, and attempts end.
	if err := tryAccept(t.Context(), old, running); err != nil && !errors.Is(err, errShards) {
		t.Error(err)
	}
	settle(t, old, running.Ref())
	for _, l := range leased {
		select {
		case err := <-moved:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		if err := old.Release(t.Context(), l.Ref(), time.Now(), false); err != nil {
			t.Error(err)
		}
	}
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	wantMoved(t, b)
}

func TestM18_NoDeviceIsMovedWhileAnAttemptMayBeUnderWay(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Address: at(redistest.Start(t).URL)})
	s := b.queue.shards[0]
	want := func(dev string, want int64) {
		t.Helper()
		if got, err := exportScript.Run(t.Context(), b.queue.Client, s.keys.of(app), deviceKey(device(dev))).Slice(); err != nil || got[0] != want {
			t.Errorf("%s: %v, %v; want %d", dev, got, err, want)
		}
	}
	accept(t, b, entry("leased", "1"), entry("discarded", "2"))
	if ids := leaseIn(t, b, patience); len(ids) != 2 {
		t.Fatal(ids)
	}
	again := entry("discarded", "3")
	again.PushkeyTS = 2000
	accept(t, b, again)
	if err := b.Discard(t.Context(), app, device("discarded"), 1000); err != nil {
		t.Fatal(err)
	}
	first, behind := entry("behind", "4"), entry("behind", "5")
	first.Due, behind.Running = time.Now().Add(time.Hour), true
	accept(t, b, first, behind)
	want("leased", busy)
	want("discarded", busy)
	want("behind", busy)
	want("nobody", nothing)
	for _, r := range []outbox.Ref{ref("leased", "1"), ref("discarded", "2"), behind.Ref()} {
		if err := b.Release(t.Context(), r, time.Now(), false); err != nil {
			t.Error(err)
		}
	}
	want("leased", exported)
	want("discarded", exported)
	want("behind", exported)
}

// Redis was down when the gateway started, so the number of shards was not known.
func TestM16_TheNumberOfShardsIsCheckedBeforeTheFirstPush(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cleanup(t, filled(t, at(server.URL), "p", 1))
	server.Kill()
	b := opened(t, &Box{Address: at(server.URL), Prefix: "p", Shards: 5})
	fresh := opened(t, &Box{Address: at(server.URL), Prefix: "fresh", Shards: 5})
	server.Restart()
	if err := tryAccept(t.Context(), b, entry("a", "1")); !errors.Is(err, errRefused) || errors.Is(err, outbox.ErrUnsure) {
		t.Errorf("accepted while pushes are pending in another number of shards: %v", err)
	}
	accept(t, fresh, entry("a", "1"))
	if ids := drain(t, fresh); len(ids) != 1 {
		t.Errorf("leased are %q", ids)
	}
}

func TestM16_GatewaysThatStartAtOnceAgreeOnTheNumberOfShards(t *testing.T) {
	t.Parallel()
	address := at(redistest.Start(t).URL)
	var boxes []*Box
	for n := range 4 {
		boxes = append(boxes, provision(t, &Box{Address: address, Shards: 5, gateway: fmt.Sprint(n)}))
	}
	opened := make(chan error)
	for _, b := range boxes {
		go func() { opened <- b.Open(context.Background()) }()
	}
	for range boxes {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	for n, b := range boxes {
		accept(t, b, entry(fmt.Sprint(n), "1"))
	}
}

func TestADeviceThatCannotBeReadIsLeftBehind(t *testing.T) {
	t.Parallel()
	address := at(redistest.Start(t).URL)
	old := filled(t, address, "p", 1)
	keys := old.queue.shards[0].keys.of(app)
	name := deviceKey(device("strange"))
	if err := errors.Join(
		old.queue.Client.HSet(t.Context(), keys[2], name, "of a newer version").Err(),
		old.queue.Client.ZAdd(t.Context(), keys[6], redis.Z{Member: name}).Err(),
	); err != nil {
		t.Fatal(err)
	}
	b := provision(t, &Box{Address: address, Prefix: "p", Shards: 5})
	if err := b.Move(t.Context(), func(int) {}); err == nil || !strings.Contains(err.Error(), "1 devices") {
		t.Errorf("error %v", err)
	}
	wantMoved(t, b)
}
