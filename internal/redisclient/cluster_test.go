package redisclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// keyOn returns a key that the nth of a cluster's first primaries has.
func keyOn(n int) string { return []string{"{bar}:key", "{c}:key", "{foo}:key"}[n] }

func TestM05_AClusterThatCannotBeUsedFailsTheLoad(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, slices.Concat(push,
		[]string{"--user", "blind", "on", ">" + secret, "~*", "+@read", "+@write", "+@scripting", "+@connection", "+time", "+info"},
		[]string{"--user", "reader", "on", ">" + secret, "~*", "+@read", "+@scripting", "+@connection", "+time", "+info", "+cluster|slots"},
	)...)
	blind, reader := clusterAt(s.Addresses()...), clusterAt(s.Addresses()...)
	blind.Cluster.Username, reader.Cluster.Username = "blind", "reader"
	single := redistest.StartSentinel(t, 0, push)
	wrong := clusterAt(s.Addresses()...)
	wrong.Cluster.Password = "wrong-" + secret
	var stranger *redistest.Server // has not the slot
	for _, node := range s.Nodes {
		if node != s.Primary(trialKey) {
			stranger = node
		}
	}
	wantRefused(t, []refusal{
		{"a server without a cluster", clusterAt(single.Servers[0].Address), "is not a node of a Redis Cluster: use the option url or sentinel"},
		{"one node in place of the cluster", Address{URL: urlAt("redis", stranger.Address)}, "use the option cluster"},
		{"a wrong password", wrong, "correct the options username and password"},
		{"a user that may not ask for the slots", blind, "give the user the permissions in docs/redis.md"},
		{"a user that may not write", reader, "give the user the permissions in docs/redis.md"},
	})
	if log, err := probeAt(t, clusterAt(s.Addresses()...)); err != nil || log != "" {
		t.Errorf("all nodes: error %v, log %s", err, log)
	}
	if log, err := probeAt(t, clusterAt("127.0.0.1:1", s.Nodes[5].Address)); err != nil || log != "" {
		t.Errorf("one address of two is wrong: error %v, log %s", err, log)
	}
	if log, err := probeAt(t, clusterAt("127.0.0.1:1")); err != nil || !strings.Contains(log, "redis cannot be reached") {
		t.Errorf("nobody is there: error %v, log %s", err, log)
	}
	s.Forget(keyOn(0))
	wantRefused(t, []refusal{{"a slot without a node", clusterAt(s.Addresses()...), "the cluster has nodes for only 16383 of 16384 slots"}})
}

func TestM13_AServerThatHangsDoesNotHideTheRefusalOfAnother(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, slices.Concat(push,
		[]string{"--user", "narrow", "on", ">" + secret, "~{bar}:*", "+@all"},
	)...)
	address := clusterAt(s.Addresses()...)
	address.Cluster.Username = "narrow"
	c := loadAt(t, address)
	if err := c.Get(t.Context(), keyOn(0)).Err(); !errors.Is(err, redis.Nil) { // it knows the nodes
		t.Fatal(err)
	}
	hung := s.Primary(keyOn(0))
	for _, replica := range s.Replicas(hung) { // so no replica takes over
		replica.Kill()
	}
	hung.Pause()
	err := c.Check(t.Context(), slog.New(slog.DiscardHandler), keyOn(0), keyOn(1))
	if !answered(err, "NOPERM") {
		t.Errorf("the error is %v", err)
	}
}

// deaf is a connection that loses the answer to an INCR.
type deaf struct {
	net.Conn
	lose bool
}

func (d *deaf) Write(p []byte) (int, error) {
	d.lose = d.lose || bytes.Contains(p, []byte("incr"))
	return d.Conn.Write(p)
}

func (d *deaf) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if d.lose {
		return 0, errors.Join(io.EOF, d.Close())
	}
	return n, err
}

func TestM08_ACommandThatMayHaveArrivedIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, push...)
	at := clusterAt(s.Addresses()...)
	options, err := at.options()
	if err != nil {
		t.Fatal(err)
	}
	dial := options.Dialer
	options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &deaf{Conn: conn}, err
	}
	c := newClient(at, options)
	defer c.Close()
	err = c.Incr(t.Context(), keyOn(0)).Err()
	if err == nil || !Unreachable(err) || !MayHaveArrived(err) {
		t.Errorf("error %v, unreachable %v, may have arrived %v", err, Unreachable(err), MayHaveArrived(err))
	}
	if got := s.Primary(keyOn(0)).Client().Get(t.Context(), keyOn(0)).Val(); got != "1" {
		t.Errorf("it was added %s times", got)
	}
}

func TestM08_ARedirectionIsFollowedAndARefusalIsCertain(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, push...)
	c, ctx := loadAt(t, clusterAt(s.Addresses()...)), t.Context()
	key, other := keyOn(0), "{bar}:other"
	if err := c.Set(ctx, key, 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	to := s.Primary(keyOn(2))
	finish := s.Move(key, to)
	if err := c.Incr(ctx, key).Err(); err != nil {
		t.Errorf("a key that is still there: %v", err)
	}
	if err := c.Incr(ctx, other).Err(); err != nil {
		t.Errorf("a key that is asked for at the other node: %v", err)
	}
	err := c.Eval(ctx, "return redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3])", []string{key, other, "{bar}:none"}).Err()
	if !answered(err, "TRYAGAIN") || MayHaveArrived(err) || !Unreachable(err) {
		t.Errorf("keys at both nodes: error %v, may have arrived %v", err, MayHaveArrived(err))
	}
	finish()
	if n, err := c.Incr(ctx, key).Result(); n != 3 || err != nil {
		t.Errorf("after the move: %d, %v", n, err)
	}
	eventually(t, "the slot is known", func() bool {
		server, err := c.On(ctx, key)
		return err == nil && server.Options().Addr == to.Address
	})
}

func TestM03_AfterAFailoverTheClusterIsFollowed(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, push...)
	c, ctx := loadAt(t, clusterAt(s.Addresses()...)), t.Context()
	for n := range 3 {
		if err := c.Set(ctx, keyOn(n), n, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s.Primary(keyOn(1)).Kill()
	for _, n := range []int{0, 2} {
		if err := c.Get(ctx, keyOn(n)).Err(); err != nil {
			t.Errorf("a key of a server that runs: %v", err)
		}
	}
	eventually(t, "the replica is asked", func() bool { return c.Set(ctx, keyOn(1), "next", 0).Err() == nil })
	if got := s.Primary(keyOn(1)).Client().Get(ctx, keyOn(1)).Val(); got != "next" {
		t.Errorf("the new primary has %q", got)
	}
}
