package redistest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// freePort returns a port of loopback where nobody listens. It is below those that systems give to outgoing connections, and no other test
// gets it before this one ends, so it is still free when a server that was killed starts again.
func freePort(t testing.TB) int {
	t.Helper()
	var config net.ListenConfig
	for range 100 {
		port := 10_000 + rand.IntN(20_000)                                      //nolint:gosec // no secret
		reserved, err := config.ListenPacket(t.Context(), "udp", address(port)) // the servers use only TCP
		if err != nil {
			continue
		}
		l, err := config.Listen(t.Context(), "tcp", address(port))
		if err != nil {
			_ = reserved.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = reserved.Close() })
		return port
	}
	t.Fatal("no port is free")
	return 0
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// onPort starts a server on a port. Between the search and the start, another program may take the port, so it tries some.
func onPort(t testing.TB, program string, options func(port int) []string) *Server {
	t.Helper()
	s := newServer(t, program)
	for range 5 {
		port := freePort(t)
		s.Address, s.options = address(port), options(port)
		if s.launch() {
			return s
		}
		s.Kill()
	}
	t.Fatalf("redis-server does not start: %s", s.log())
	return nil
}

// plain returns the options of a server that listens on a port without TLS. Its replicas need not wait for others to join them.
func plain(options ...string) func(port int) []string {
	return func(port int) []string {
		return append([]string{"--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--repl-diskless-sync-delay", "0"}, options...)
	}
}
