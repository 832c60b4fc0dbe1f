package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Master is the name of the primary of a [Sentinel].
const Master = "push"

// Sentinel is a primary with its replicas, and three sentinels that replace it after two seconds without an answer.
type Sentinel struct {
	// Servers are the primary and its replicas. The first one is the primary at the start.
	Servers []*Server
	// Sentinels are the processes that watch it.
	Sentinels []*Server

	t testing.TB
}

// StartSentinel starts a primary with replicas and sentinels, and waits until all replicas have its data. Options are those of the servers,
// and lines are those of the sentinels' configuration.
func StartSentinel(t testing.TB, replicas int, options []string, lines ...string) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t}
	program := Debian.path(t)
	s.Servers = []*Server{onPort(t, program, plain(options...))}
	host, port, _ := net.SplitHostPort(s.Servers[0].Address)
	for range replicas {
		s.Servers = append(s.Servers, onPort(t, program, plain(slices.Concat(options, []string{"--replicaof", host + " " + port})...)))
	}
	s.Watch(lines...)
	s.wait("replicas with the data of the primary", func() bool {
		return strings.Count(info(s.Servers[0], "replication"), ",state=online,") == replicas
	})
	return s
}

// Watch starts three sentinels. They know each other and the replicas, as if they had run for a while.
func (s *Sentinel) Watch(lines ...string) {
	s.t.Helper()
	const count = 3
	ports := make([]int, count)
	for i := range ports {
		ports[i] = freePort(s.t)
	}
	for i, port := range ports {
		config := []string{
			"bind 127.0.0.1", fmt.Sprint("port ", port), "sentinel myid " + nodeID(i),
			"sentinel monitor " + Master + " " + spaced(s.Servers[0].Address) + " 2",
			"sentinel down-after-milliseconds " + Master + " 2000", "sentinel failover-timeout " + Master + " 6000",
		}
		for j, other := range ports {
			if j != i {
				config = append(config, "sentinel known-sentinel "+Master+" "+spaced(address(other))+" "+nodeID(j))
			}
		}
		for _, replica := range s.Servers[1:] {
			config = append(config, "sentinel known-replica "+Master+" "+spaced(replica.Address))
		}
		s.Sentinels = append(s.Sentinels, startSentinel(s.t, address(port), slices.Concat(config, lines)))
	}
}

// startSentinel starts a sentinel, which writes to its configuration.
func startSentinel(t testing.TB, at string, config []string) *Server {
	t.Helper()
	s := newServer(t, Debian.path(t))
	s.Address = at
	config = append(config, "dir "+s.dir, "unixsocket "+s.file("s"), "logfile "+s.file("log"))
	if err := os.WriteFile(s.file("sentinel.conf"), []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	return s
}

// Addresses returns those of the sentinels.
func (s *Sentinel) Addresses() []string { return addresses(s.Sentinels) }

// Primary returns the server that most sentinels name, once they agree and it is a primary.
func (s *Sentinel) Primary() (primary *Server) {
	s.t.Helper()
	s.wait("a primary", func() bool {
		named := make(map[string]int)
		for _, sentinel := range s.Sentinels {
			if sentinel.process == nil {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			client := sentinel.client()
			answer, err := client.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", Master).StringSlice()
			_ = client.Close()
			cancel()
			if err == nil && len(answer) == 2 {
				named[net.JoinHostPort(answer[0], answer[1])]++
			}
		}
		for _, server := range s.Servers {
			if named[server.Address] > len(s.Sentinels)/2 && server.process != nil && isPrimary(server) {
				primary = server
			}
		}
		return primary != nil
	})
	return primary
}

// Replicas returns the other servers that run.
func (s *Sentinel) Replicas() (replicas []*Server) {
	s.t.Helper()
	primary := s.Primary()
	for _, server := range s.Servers {
		if server != primary && server.process != nil {
			replicas = append(replicas, server)
		}
	}
	return replicas
}

// Replicated waits until all replicas have all that the primary has written.
func (s *Sentinel) Replicated() {
	s.t.Helper()
	s.Primary().Replicated(len(s.Replicas()))
}

func (s *Sentinel) wait(what string, is func() bool) {
	s.t.Helper()
	if !await(time.Minute, is) {
		s.t.Fatalf("there are no %s", what)
	}
}

func isPrimary(s *Server) bool {
	return strings.Contains(info(s, "replication"), "\r\nrole:master\r\n")
}

// info asks a server; empty if it does not answer.
func info(s *Server, section string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	client := s.client()
	defer client.Close()
	return client.Info(ctx, section).Val()
}

// nodeID returns the ID of the nth node or sentinel.
func nodeID(n int) string { return fmt.Sprintf("%040x", n+1) }

func spaced(address string) string { return strings.Replace(address, ":", " ", 1) }

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func addresses(servers []*Server) (list []string) {
	for _, server := range servers {
		list = append(list, server.Address)
	}
	return list
}
