// Package redistest runs a real redis-server for a test.
package redistest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// RequireVariable is the environment variable that makes a missing redis-server a failure.
const RequireVariable = "CI_REQUIRE_REDIS"

// Server is a redis-server that listens on a socket in a separate directory, and writes an append-only file there.
type Server struct {
	// URL is the address of the server.
	URL string

	t       testing.TB
	dir     string
	options []string
	process *exec.Cmd
}

// Start starts a server, which ends with the test. Options are those of the command line, such as "--requirepass", "secret". If
// redis-server is not installed, the test is skipped, unless CI_REQUIRE_REDIS is set.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv(RequireVariable) != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{URL: "unix://" + filepath.Join(dir, "s"), t: t, dir: dir, options: options}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Restart starts the server again, with the data in its file.
func (s *Server) Restart() {
	s.t.Helper()
	socket := filepath.Join(s.dir, "s")
	_ = os.Remove(socket)
	args := append([]string{
		"--port", "0", "--unixsocket", socket, "--dir", s.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always",
		"--maxmemory-policy", "noeviction", "--logfile", filepath.Join(s.dir, "log"),
	}, s.options...)
	s.process = exec.Command("redis-server", args...) //nolint:gosec,noctx // a test's own; Kill ends it
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if answers(socket) {
			return
		}
		if time.Now().After(deadline) {
			s.Kill()
			s.t.Fatal("redis-server does not answer")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// answers reports whether the server has read its file.
func answers(socket string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	answer := make([]byte, 8)
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, err := conn.Read(answer)
	return err == nil && (string(answer[:n]) == "+PONG\r\n" || string(answer[:min(n, 7)]) == "-NOAUTH")
}

// Kill ends the server without warning.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// Pause makes the server stop answering, with its connections open, until the returned function is called.
func (s *Server) Pause() (resume func()) {
	s.t.Helper()
	pid := s.process.Process
	if err := pid.Signal(stop); err != nil {
		s.t.Fatal(err)
	}
	resume = func() { _ = pid.Signal(proceed) }
	s.t.Cleanup(resume)
	return resume
}
