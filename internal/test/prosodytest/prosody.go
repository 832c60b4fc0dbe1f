// Package prosodytest runs a real Prosody for a test, on loopback, with a directory for each server.
package prosodytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// RequireVariable is the environment variable that makes a missing Prosody a failure.
const RequireVariable = "CI_REQUIRE_PROSODY"

// What the configuration of every server has. Each user's password is Password.
const (
	Domain    = "example.test"
	Component = "push.example.test"
	Secret    = "s3cret"
	Password  = "pw"
)

// patience is how long a test waits for a condition that a working Prosody meets at once.
const patience = 60 * time.Second

// Server is a Prosody with the virtual host [Domain] and the component [Component].
type Server struct {
	// ComponentAddress is the address where components connect.
	ComponentAddress string

	t             testing.TB
	dir           string
	clientAddress string
	options       string
	process       *exec.Cmd
	exited        chan struct{}
	log           *log
}

// Start starts a server, which ends with the test. Options are lines of Prosody's configuration, before the hosts. If Prosody or its module
// cloud_notify is not installed, the test is skipped, unless CI_REQUIRE_PROSODY is set.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	if err := installed(); err != nil {
		if os.Getenv(RequireVariable) != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s := &Server{t: t, dir: t.TempDir(), options: strings.Join(options, "\n"), log: newLog()}
	s.ComponentAddress, s.clientAddress = freeAddress(t), freeAddress(t)
	t.Cleanup(s.Kill)
	for range 3 { // another process may take a port before Prosody does
		if s.launch() {
			return s
		}
		s.Kill()
		s.ComponentAddress, s.clientAddress = freeAddress(t), freeAddress(t)
	}
	t.Fatalf("Prosody does not start: %s", s.log)
	return nil
}

// installed returns an error that says which package is missing.
func installed() error {
	if _, err := exec.LookPath("prosody"); err != nil {
		return fmt.Errorf("there is no Prosody: install the packages prosody and prosody-modules: %w", err)
	}
	for _, dir := range []string{"/usr/lib/prosody/modules", "/usr/local/lib/prosody/modules"} {
		if _, err := os.Stat(filepath.Join(dir, "mod_cloud_notify")); err == nil {
			return nil
		}
	}
	return errors.New("there is no module cloud_notify for Prosody: install the package prosody-modules")
}

// freeAddress returns an address of loopback where nobody listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Restart starts a server that was ended, with its data and its addresses.
func (s *Server) Restart() {
	s.t.Helper()
	if !s.launch() {
		s.t.Fatalf("Prosody does not start: %s", s.log)
	}
}

// launch starts the server, and returns false if it does not listen.
func (s *Server) launch() bool {
	s.t.Helper()
	before := len(s.log.String())
	file := filepath.Join(s.dir, "prosody.cfg.lua")
	if err := os.WriteFile(file, []byte(s.configuration()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	process := exec.Command("prosody", "--config", file, "-F") //nolint:gosec,noctx // a test's own; Kill ends it
	process.Stdout = s.log
	process.Stderr = s.log
	process.Dir = s.dir
	if err := process.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = process.Wait()
		close(exited)
	}()
	s.process, s.exited = process, exited
	return s.listens(before)
}

// configuration returns Prosody's configuration. In a container, tests often run as root, and Prosody would try to become another user.
func (s *Server) configuration() string {
	return fmt.Sprintf(`run_as_root = true
data_path = %q
pidfile = %q
log = { { levels = { min = "debug" }, to = "console" } }
authentication = "internal_plain"
c2s_require_encryption = false; allow_unencrypted_plain_auth = true
interfaces = { "127.0.0.1" }; component_interfaces = { "127.0.0.1" }
c2s_ports = { %s }; component_ports = { %s }
modules_enabled = { "disco"; "roster"; "saslauth"; "ping"; "mam"; "smacks"; "carbons"; "cloud_notify"; "offline"; "csi_simple" }
modules_disabled = { "s2s" }
smacks_hibernation_time = 600; push_max_errors = 4
%s
VirtualHost %q
Component %q
component_secret = %q
`, filepath.Join(s.dir, "data"), filepath.Join(s.dir, "pid"), port(s.clientAddress), port(s.ComponentAddress), s.options, Domain, Component, Secret)
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// listens waits until the log shows, after the part before the start, that Prosody listens at both addresses.
func (s *Server) listens(before int) bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for _, address := range []string{s.clientAddress, s.ComponentAddress} {
		line := "on [127.0.0.1]:" + port(address)
		if !s.log.wait(ctx, s.exited, func(log string) bool { return strings.Contains(log[before:], line) }) {
			return false
		}
	}
	return true
}

// AddUser makes an account with [Password]. The form is that of Prosody's internal storage.
func (s *Server) AddUser(name string) {
	s.t.Helper()
	dir := filepath.Join(s.dir, "data", strings.ReplaceAll(Domain, ".", "%2e"), "accounts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	account := fmt.Sprintf("return {\n\t[\"password\"] = %q;\n};\n", Password)
	if err := os.WriteFile(filepath.Join(dir, name+".dat"), []byte(account), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// WaitLog waits until the log contains a text.
func (s *Server) WaitLog(text string) {
	s.t.Helper()
	s.WaitLogs(text, 1)
}

// WaitLogs waits until the log contains a text a number of times.
func (s *Server) WaitLogs(text string, times int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if !s.log.wait(ctx, s.exited, func(log string) bool { return strings.Count(log, text) >= times }) {
		s.t.Fatalf("Prosody's log has %q not %d times: %s", text, times, s.log)
	}
}

// Log returns what Prosody has logged until now.
func (s *Server) Log() string { return s.log.String() }

// Kill ends the server without warning. Its connections are closed, but its streams are not.
func (s *Server) Kill() { s.end((*os.Process).Kill) }

// Stop ends the server in order.
func (s *Server) Stop() {
	s.end(func(p *os.Process) error { return p.Signal(syscall.SIGTERM) })
}

func (s *Server) end(how func(*os.Process) error) {
	if s.process == nil {
		return
	}
	_ = how(s.process.Process)
	<-s.exited
	s.process = nil
}

// log is what a server has written.
type log struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next change
}

func newLog() *log { return &log{changed: make(chan struct{})} }

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until a condition holds, and returns false if it doesn't before the server exits or the context is done.
func (l *log) wait(ctx context.Context, exited <-chan struct{}, holds func(log string) bool) bool {
	for {
		l.mu.Lock()
		text, changed := l.text.String(), l.changed
		l.mu.Unlock()
		if holds(text) {
			return true
		}
		select {
		case <-changed:
		case <-exited:
			return holds(l.String())
		case <-ctx.Done():
			return false
		}
	}
}
