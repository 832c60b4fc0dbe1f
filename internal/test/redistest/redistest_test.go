package redistest

import (
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestAReplicaBecomesThePrimary(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, 2, nil)
	first := s.Primary()
	if first != s.Servers[0] || len(s.Replicas()) != 2 {
		t.Errorf("the primary is not the first, or it has %d replicas", len(s.Replicas()))
	}
	if err := first.Client().Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Replicated()
	first.Kill()
	next := s.Primary()
	if got := next.Client().Get(t.Context(), "key").Val(); next == first || got != "value" {
		t.Errorf("the next primary has the value %q", got)
	}
}

func TestANodeIsReplacedAndASlotMoved(t *testing.T) {
	t.Parallel()
	c := StartCluster(t)
	first := c.Primary("key")
	if err := first.Client().Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Replicas(first)); n != 1 {
		t.Errorf("the primary has %d replicas", n)
	}
	to := c.Primary("bar")
	if to == first {
		t.Fatal("both keys have the same primary")
	}
	c.Move("key", to)()
	if got := to.Client().Get(t.Context(), "key").Val(); c.Primary("key") != to || got != "value" {
		t.Errorf("after the move, the value is %q", got)
	}
	to.Replicated(1)
	to.Kill()
	next := c.Primary("key")
	if got := next.Client().Get(t.Context(), "key").Val(); next == to || got != "value" {
		t.Errorf("the next primary has the value %q", got)
	}
}

func TestAServerWhoseDiskIsLostIsEmpty(t *testing.T) {
	t.Parallel()
	for _, v := range []Version{Debian, Redis62, Valkey9} {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			s := v.Start(t)
			if err := s.Client().Set(t.Context(), "key", "value", 0).Err(); err != nil {
				t.Fatal(err)
			}
			s.Kill()
			s.Restart()
			if n := s.Client().DBSize(t.Context()).Val(); n != 1 {
				t.Errorf("after a restart, it has %d keys", n)
			}
			s.Kill()
			s.Wipe()
			s.Restart()
			if n := s.Client().DBSize(t.Context()).Val(); n != 0 {
				t.Errorf("without its disk, it has %d keys", n)
			}
		})
	}
}
