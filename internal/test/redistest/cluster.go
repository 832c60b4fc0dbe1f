package redistest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// slots is how many slots the primaries of a cluster divide among themselves.
const slots = 16384

// Cluster is several primaries, with or without a replica each. A replica takes over after two seconds without its primary. If slots have no
// node, the others can still be used.
type Cluster struct {
	// Nodes are the primaries at the start, and then their replicas in the same order.
	Nodes []*Server

	t testing.TB
}

// StartCluster starts a cluster of three primaries with a replica each, and waits until it can be used. Options are those of all nodes.
func StartCluster(t testing.TB, options ...string) *Cluster {
	t.Helper()
	return startCluster(t, 3, 6, options)
}

// StartPrimaries starts a cluster of primaries without replicas, and waits until it can be used. Options are those of all nodes.
func StartPrimaries(t testing.TB, primaries int, options ...string) *Cluster {
	t.Helper()
	return startCluster(t, primaries, primaries, options)
}

func startCluster(t testing.TB, primaries, nodes int, options []string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	program := Debian.path(t)
	ports := make([][2]int, nodes) // each node has a second port for the others
	for i := range ports {
		ports[i] = [2]int{freePort(t), freePort(t)}
	}
	for i, port := range ports {
		node := newServer(t, program, plain(append([]string{
			"--cluster-enabled", "yes", "--cluster-port", fmt.Sprint(port[1]), "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no", "--cluster-replica-validity-factor", "0",
		}, options...)...)(port[0])...)
		node.Address = address(port[0])
		if err := os.WriteFile(node.file("nodes.conf"), []byte(membership(ports, primaries, i)), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Nodes = append(c.Nodes, node)
	}
	for _, node := range c.Nodes {
		node.Restart()
	}
	c.Wait()
	return c
}

// membership is what a node writes down about the cluster. With it, the nodes know each other from the start.
func membership(ports [][2]int, primaries, self int) string {
	var b strings.Builder
	for i, port := range ports {
		me := ""
		if i == self {
			me = "myself,"
		}
		fmt.Fprintf(&b, "%s %s@%d %s", nodeID(i), address(port[0]), port[1], me)
		if primary := i % primaries; i == primary {
			fmt.Fprintf(&b, "master - 0 0 %d connected %d-%d\n", i+1, i*slots/primaries, (i+1)*slots/primaries-1)
		} else {
			fmt.Fprintf(&b, "slave %s 0 0 %d connected\n", nodeID(primary), primary+1)
		}
	}
	fmt.Fprintf(&b, "vars currentEpoch %d lastVoteEpoch 0\n", primaries)
	return b.String()
}

// Wait waits until all nodes that run can be used, and all replicas among them have the data of their primaries.
func (c *Cluster) Wait() {
	c.t.Helper()
	if !await(time.Minute, func() bool {
		for _, node := range c.Nodes {
			if node.process != nil && !isReady(node) {
				return false
			}
		}
		return true
	}) {
		c.t.Fatal("the cluster is not ready")
	}
}

func isReady(node *Server) bool {
	replication := info(node, "replication")
	if !strings.Contains(replication, "role:master") && !strings.Contains(replication, "master_link_status:up") {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	client := node.client()
	defer client.Close()
	return strings.Contains(client.ClusterInfo(ctx).Val(), "cluster_state:ok")
}

// Addresses returns those of all nodes.
func (c *Cluster) Addresses() []string { return addresses(c.Nodes) }

// Primary returns the node that has the slot of a key, once the nodes that run agree.
func (c *Cluster) Primary(key string) (primary *Server) {
	c.t.Helper()
	if !await(time.Minute, func() bool {
		primary = nil
		for _, node := range c.Nodes {
			if node.process == nil {
				continue
			}
			has := c.owner(node, key)
			if has == nil || has.process == nil || primary != nil && has != primary {
				return false
			}
			primary = has
		}
		return primary != nil && isPrimary(primary)
	}) {
		c.t.Fatal("the key has no primary")
	}
	return primary
}

// owner returns the node that another node believes to have the slot of a key.
func (c *Cluster) owner(asked *Server, key string) *Server {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	client := asked.client()
	defer client.Close()
	slot := int(client.ClusterKeySlot(ctx, key).Val())
	for _, r := range client.ClusterSlots(ctx).Val() { //nolint:staticcheck // as the gateway asks
		if r.Start <= slot && slot <= r.End {
			return c.at(r.Nodes[0].Addr)
		}
	}
	return nil
}

func (c *Cluster) at(address string) *Server {
	for _, node := range c.Nodes {
		if node.Address == address {
			return node
		}
	}
	return nil
}

// Replicas returns the nodes that run and copy the data of a primary.
func (c *Cluster) Replicas(primary *Server) (replicas []*Server) {
	for _, node := range c.Nodes {
		if node != primary && node.process != nil && strings.Contains(info(node, "replication"), "\r\nmaster_port:"+portOf(primary.Address)+"\r\n") {
			replicas = append(replicas, node)
		}
	}
	return replicas
}

// Move begins to move the slot of a key to another primary. The returned function moves the keys, and ends the move.
func (c *Cluster) Move(key string, to *Server) (finish func()) {
	c.t.Helper()
	from := c.Primary(key)
	source, target := from.Client(), to.Client()
	ctx := context.Background()
	slot := source.ClusterKeySlot(ctx, key).Val()
	c.do(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source.ClusterMyID(ctx).Val())
	c.do(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target.ClusterMyID(ctx).Val())
	return func() {
		c.t.Helper()
		for {
			keys := source.ClusterGetKeysInSlot(ctx, int(slot), 100).Val()
			if len(keys) == 0 {
				break
			}
			args := []any{"MIGRATE", "127.0.0.1", portOf(to.Address), "", 0, 5000, "KEYS"}
			for _, key := range keys {
				args = append(args, key)
			}
			c.do(source, args...)
		}
		c.do(target, "CLUSTER", "SETSLOT", slot, "NODE", target.ClusterMyID(ctx).Val())
		c.do(source, "CLUSTER", "SETSLOT", slot, "NODE", target.ClusterMyID(ctx).Val())
	}
}

// Forget takes the slot of a key from all nodes.
func (c *Cluster) Forget(key string) {
	c.t.Helper()
	slot := c.Nodes[0].Client().ClusterKeySlot(context.Background(), key).Val()
	for _, node := range c.Nodes {
		_ = node.Client().Do(context.Background(), "CLUSTER", "DELSLOTS", slot) // some may have learnt of it
	}
}

func (c *Cluster) do(client *redis.Client, args ...any) {
	c.t.Helper()
	if err := client.Do(context.Background(), args...).Err(); err != nil {
		c.t.Fatalf("%v: %v", args[:2], err)
	}
}
