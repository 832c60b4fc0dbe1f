package redisclient

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// lookout is a store that watches for failovers.
type lookout struct {
	*Client
	t    *testing.T
	log  bytes.Buffer
	keys []string
}

// watching returns two stores with the same servers and with several shards, which know the primaries.
func watching(t *testing.T, a Address) (l, other *lookout) {
	t.Helper()
	client := loadAt(t, a)
	l, other = &lookout{Client: client, t: t}, &lookout{Client: client, t: t}
	for n := range 16 {
		l.keys, other.keys = append(l.keys, fmt.Sprintf("{p:%d}:a", n)), append(other.keys, fmt.Sprintf("{p:%d}:b", n))
	}
	l.notice()
	other.notice()
	return l, other
}

func (l *lookout) notice() { l.look(l.t.Context(), slog.New(slog.NewTextHandler(&l.log, nil)), l.keys) }

// until notices changes until there are so many failovers.
func (l *lookout) until(n int) {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		l.notice()
		if got, last := l.Failovers(); got == n && !last.IsZero() {
			break
		} else if time.Now().After(deadline) {
			l.t.Fatalf("there are %d failovers, want %d", got, n)
		}
	}
	l.notice()
	if got, _ := l.Failovers(); got != n {
		l.t.Errorf("there are %d failovers, want %d", got, n)
	}
}

// logged wants one line with some text in the logs of both stores.
func logged(t *testing.T, a, b *lookout, texts ...string) {
	t.Helper()
	log := a.log.String() + b.log.String()
	if strings.Count(log, "\n") != 1 || strings.Contains(log, secret) {
		t.Errorf("the log is %q, want one line without a secret", log)
	}
	for _, text := range texts {
		if !strings.Contains(log, text) {
			t.Errorf("the log is %q, want %q in it", log, text)
		}
	}
}

func TestM32_AFailoverOfSentinelIsAnEvent(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, 1, push)
	a, b := watching(t, sentinelAt(servers.Addresses()...))
	from := servers.Primary()
	from.Kill()
	a.notice() // there is no primary now
	to := servers.Primary()
	a.until(1)
	b.until(1)
	logged(t, a, b, `msg="another redis server is the primary"`, "from="+from.Address, "to="+to.Address)
}

func TestM32_AFailoverOfANodeWithManyShardsIsOneEvent(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, push...)
	a, b := watching(t, clusterAt(cluster.Addresses()...))
	from := cluster.Primary(a.keys[0])
	from.Kill()
	to := cluster.Primary(a.keys[0])
	a.until(1)
	b.until(1)
	logged(t, a, b, `msg="another redis server is the primary"`, "from="+from.Address, "to="+to.Address, "p:0")
}

func TestM32_ASlotThatIsMovedIsNoFailover(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, push...)
	a, _ := watching(t, clusterAt(cluster.Addresses()...))
	from := cluster.Primary(a.keys[0])
	for _, node := range cluster.Nodes[:3] {
		if node != from {
			cluster.Move(a.keys[0], node)()
			break
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_ = a.Get(t.Context(), a.keys[0]).Err() // which is redirected
		a.notice()
		if a.failovers.primaries["p:0"].name != from.Address {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the moved slot is not noticed")
		}
	}
	if n, _ := a.Failovers(); n != 0 || a.log.Len() > 0 {
		t.Errorf("there are %d failovers: %s", n, a.log.String())
	}
}

func TestM32_ARestartOfASingleServerIsAnEvent(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, b := watching(t, Address{URL: server.URL})
	server.Kill()
	a.notice()
	server.Restart()
	a.until(1)
	b.until(1)
	logged(t, a, b, `msg="redis was restarted"`)
	server.Kill()
	server.Restart()
	a.until(2)
}
