package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// before is a hook that is called before each command. If it returns an error, the command is not sent.
type before func(cmd redis.Cmder) error

func (before) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (before) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b before) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := b(cmd); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

// hooked returns the address of a server, for other connections, with a hook.
func hooked(t *testing.T, s *redistest.Server, hook before) redisclient.Address {
	t.Helper()
	address := at(s.URL + "?read_timeout=9001ms")
	client, err := redisclient.Load(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Unload() })
	client.AddHook(hook)
	return address
}

// concerns reports whether a command has an argument.
func concerns(cmd redis.Cmder, want string) bool {
	return slices.ContainsFunc(cmd.Args(), func(arg any) bool { return fmt.Sprint(arg) == want })
}

var errDown = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

// down fails the commands for a shard under the prefix "p".
func down(shard int) before {
	return func(cmd redis.Cmder) error {
		for _, arg := range cmd.Args() {
			if strings.HasPrefix(fmt.Sprint(arg), fmt.Sprintf("{p:%d}", shard)) {
				return errDown
			}
		}
		return nil
	}
}

func TestM17_AMoveDoesNotBeginWhileAShardCannotBeReached(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	troubled := hooked(t, server, down(3))
	refused := func(what string) {
		t.Helper()
		if err := provision(t, &Box{Address: troubled, Prefix: "p", Shards: 5}).Move(t.Context(), func(int) {}); !errors.Is(err, errDown) {
			t.Errorf("%s: error %v", what, err)
		}
	}
	old := filled(t, at(server.URL), "p", 1)
	refused("the first move")
	late := entry("late", "1") // the gateways still take pushes
	accept(t, old, late)
	settle(t, old, late.Ref())
	cleanup(t, old)
	b := provision(t, &Box{Address: at(server.URL), Prefix: "p", Shards: 5})
	if err := b.Move(t.Context(), func(int) {}); err != nil {
		t.Fatal(err)
	}
	refused("a move that was finished")
	wantMoved(t, b)
}

func TestM17_OfTwoMovesInOppositeDirectionsNoneLosesAPush(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cleanup(t, filled(t, at(server.URL), "p", 1))
	b := provision(t, &Box{Address: at(server.URL), Prefix: "p", Shards: 1})
	var back sync.Once
	slow := hooked(t, server, func(cmd redis.Cmder) error {
		if concerns(cmd, dropScript.Hash()) {
			back.Do(func() {
				if err := b.Move(t.Context(), func(int) {}); err != nil {
					t.Errorf("the move back: %v", err)
				}
			})
		}
		return nil
	})
	if err := provision(t, &Box{Address: slow, Prefix: "p", Shards: 5}).Move(t.Context(), func(int) {}); !errors.Is(err, errOtherMove) {
		t.Errorf("the first move: %v", err)
	}
	wantMoved(t, b)
}

func TestM17_AMoveThatAnotherHasFinishedStopsNoShard(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cleanup(t, filled(t, at(server.URL), "p", 1))
	b := provision(t, &Box{Address: at(server.URL), Prefix: "p", Shards: 5})
	marked := newKeys(redisclient.Tag("p", 2, 5)).shards
	var finish sync.Once
	slow := hooked(t, server, func(cmd redis.Cmder) error {
		if concerns(cmd, marked) && concerns(cmd, "1>5") {
			finish.Do(func() {
				if err := b.Move(t.Context(), func(int) {}); err != nil {
					t.Errorf("the faster move: %v", err)
				}
			})
		}
		return nil
	})
	if err := provision(t, &Box{Address: slow, Prefix: "p", Shards: 5}).Move(t.Context(), func(int) {}); !errors.Is(err, errOtherMove) {
		t.Errorf("the slower move: %v", err)
	}
	wantMoved(t, b)
	for n := range 20 {
		if err := tryAccept(t.Context(), b, entry(fmt.Sprint(n), "new")); err != nil {
			t.Errorf("a push is not accepted: %v", err)
		}
	}
}

// Redis was down when the gateway started.
func TestM16_ANumberOfShardsThatWasRefusedLaterIsReportedUntilThePushesAreMoved(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cleanup(t, filled(t, at(server.URL), "p", 5))
	server.Kill()
	b := provision(t, &Box{Address: at(server.URL), Prefix: "p", gateway: "late"})
	var log logBuffer
	b.log = log.logger()
	open(t, b)
	if !strings.Contains(log.String(), "cannot be checked yet") {
		t.Errorf("logged is %q", log.String())
	}
	server.Restart()
	waitUntil(t, "pushes are refused", func() bool { return errors.Is(tryAccept(t.Context(), b, entry("a", "1")), errRefused) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if leased, err := b.Lease(ctx, app, 1); !errors.Is(err, errRefused) {
		t.Errorf("leased are %v, %v", leased, err)
	}
	if n := strings.Count(log.String(), "with this number of shards"); n != 1 {
		t.Errorf("the refusal was logged %d times", n)
	}
	if err := b.Move(t.Context(), func(int) {}); err != nil {
		t.Fatal(err)
	}
	late := entry("late", "1")
	waitUntil(t, "a push is accepted", func() bool { return tryAccept(t.Context(), b, late) == nil })
	settle(t, b, late.Ref())
	waitUntil(t, "pushes can be leased", func() bool { return b.queue.unusable() == nil })
	wantMoved(t, b)
}

func TestM16_ANumberOfShardsIsAdoptedWithoutAPush(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cleanup(t, opened(t, &Box{Address: at(server.URL), Prefix: "p", Shards: 5}))
	server.Kill()
	b := opened(t, &Box{Address: at(server.URL), Prefix: "p", Shards: 3})
	server.Restart()
	waitUntil(t, "the number is in Redis", func() bool { return b.queue.Client.Get(t.Context(), b.queue.main()).Val() == "3" })
}

func TestM13_AShardThatDoesNotWorkIsNotAskedForATrial(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var broken, asked atomic.Bool
	address := hooked(t, server, func(cmd redis.Cmder) error {
		err := down(0)(cmd)
		if !broken.Load() || err == nil {
			return nil
		}
		if concerns(cmd, rouseHostScript.Hash()) {
			asked.Store(true)
		}
		return err
	})
	b := opened(t, &Box{Address: address, Prefix: "p", Shards: 2})
	for _, s := range b.queue.shards {
		e := inShardOf(b, s, true, fmt.Sprint(s.number))
		e.Host, e.Due = "one", time.Now().Add(time.Hour)
		accept(t, b, e)
	}
	broken.Store(true)
	b.queue.shards[0].fails(errDown)
	for range 10 { // it begins with any shard
		if due, err := b.RouseHost(t.Context(), app, "one", 2); due != 1 || !errors.Is(err, errDown) {
			t.Errorf("%d devices are due, %v", due, err)
		}
	}
	if asked.Load() {
		t.Error("it was asked")
	}
}
