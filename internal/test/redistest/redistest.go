// Package redistest runs real Redis servers for a test: one, a primary that sentinels watch, or a cluster.
//
//	Start          one server on a socket, of Debian's version or of another [Version]
//	StartTLS       one server that wants certificates
//	StartSentinel  a primary, replicas and three sentinels
//	StartCluster   three primaries with a replica each
//
// All servers listen on loopback only, and end with the test.
package redistest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server that listens on a socket in a separate directory, and writes an append-only file there. Servers of a group also
// listen on a port.
type Server struct {
	// URL is the address of the server's socket.
	URL string
	// Address is the host and the port; empty for a server that listens only on the socket.
	Address string

	t       testing.TB
	program string
	dir     string
	options []string
	process *exec.Cmd
	ended   chan struct{} // closed when the process is
}

// Start starts a server, which ends with the test. Options are those of the command line, such as "--requirepass", "secret". If
// redis-server is not installed, the test is skipped, unless CI_REQUIRE_REDIS is set.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	return Debian.Start(t, options...)
}

// newServer makes a directory for a server.
func newServer(t testing.TB, program string, options ...string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{URL: "unix://" + filepath.Join(dir, "s"), t: t, program: program, dir: dir, options: options}
	t.Cleanup(s.Kill)
	return s
}

// Restart starts the server again, with the data in its file.
func (s *Server) Restart() {
	s.t.Helper()
	if !s.launch() {
		s.t.Fatalf("%s does not answer: %s", filepath.Base(s.program), s.log())
	}
}

// Later options win, and a configuration file has to come first. A server that is killed loses nothing that it has given to the system, so
// it need not wait for the disk, which may take seconds on a busy machine.
func (s *Server) arguments() []string {
	if config := s.file("sentinel.conf"); exists(config) {
		return []string{config, "--sentinel"}
	}
	return append([]string{
		"--port", "0", "--unixsocket", s.file("s"), "--dir", s.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "no",
		"--maxmemory-policy", "noeviction", "--logfile", s.file("log"),
	}, s.options...)
}

// launch starts the process, and returns false if it ends or does not answer.
func (s *Server) launch() bool {
	s.t.Helper()
	_ = os.Remove(s.file("s"))
	process := exec.Command(s.program, s.arguments()...) //nolint:gosec,noctx // a test's own; Kill ends it
	if err := process.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = process.Wait()
		close(ended)
	}()
	s.process, s.ended = process, ended
	return await(20*time.Second, func() bool { return answers(s.file("s")) || isClosed(ended) }) && !isClosed(ended)
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
	<-s.ended
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

// Wipe deletes the data of a server that was killed, like the loss of its disk. A node of a cluster remembers the cluster.
func (s *Server) Wipe() {
	s.t.Helper()
	if s.process != nil {
		s.t.Fatal("the server runs")
	}
	for _, pattern := range []string{"appendonly*", "dump.rdb"} {
		files, err := filepath.Glob(s.file(pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, file := range files {
			if err := os.RemoveAll(file); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// Client returns a client of the server's socket, without a password. It is closed when the test ends.
func (s *Server) Client() *redis.Client {
	client := s.client()
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

func (s *Server) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Network: "unix", Addr: s.file("s"), Protocol: 2, DisableIdentity: true, MaxRetries: -1, PipelinePoolSize: -1,
	})
}

// Replicated waits until replicas have all that the server has written.
func (s *Server) Replicated(replicas int) {
	s.t.Helper()
	client := s.client()
	defer client.Close()
	if !await(time.Minute, func() bool { return client.Wait(context.Background(), replicas, time.Second).Val() >= int64(replicas) }) {
		s.t.Fatal("the replicas lack data")
	}
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// log returns the end of the server's log.
func (s *Server) log() string {
	log, _ := os.ReadFile(s.file("log"))
	return string(log[max(0, len(log)-2000):])
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// await asks again and again until something is true, and returns false if it takes too long.
func await(patience time.Duration, is func() bool) bool {
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
