// Package ejabberdtest runs a real ejabberd for a test, on loopback, with a directory for each server.
package ejabberdtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/programtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// RequireVariable is the environment variable that makes a missing ejabberd a failure.
const RequireVariable = "CI_REQUIRE_EJABBERD"

// SecondSecret is the secret at [Server.SecondAddress].
const SecondSecret = "an0ther"

// What ejabberd logs about a registration: that a push was accepted, or refused for the moment, or that the registration is removed.
const (
	Accepted = " accepted notification for "
	Kept     = " temporarily: "
	Removed  = ", disabling push: "
)

// Hibernates is what ejabberd logs when a session outlives its connection.
const Hibernates = " seconds for stream resumption"

// Server is an ejabberd with the host [xmpptest.Domain] and the component [xmpptest.Component].
type Server struct {
	*programtest.Program
	// ComponentAddress is the address where components connect with [xmpptest.Secret]. SecondAddress is for the same component, with
	// [SecondSecret].
	ComponentAddress, SecondAddress string

	t              testing.TB
	dir, libraries string
	clientAddress  string
}

// Start starts a server, which ends with the test. If ejabberd is not installed, the test is skipped, unless CI_REQUIRE_EJABBERD is set.
func Start(t testing.TB) *Server {
	t.Helper()
	libraries, err := installed()
	if err != nil {
		if os.Getenv(RequireVariable) != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s := &Server{t: t, dir: t.TempDir(), libraries: libraries}
	s.Program = programtest.NewProgram(t, "ejabberd")
	for range 3 { // another process may take a port before ejabberd does
		s.clientAddress, s.ComponentAddress, s.SecondAddress = programtest.FreeAddress(t), programtest.FreeAddress(t), programtest.FreeAddress(t)
		if s.launch() {
			return s
		}
		s.Kill()
	}
	t.Fatalf("ejabberd does not start: %s", s.Log())
	return nil
}

// installed returns the folder of the Erlang libraries among which ejabberd is, as Debian's package installs them.
func installed() (libraries string, err error) {
	if _, err := exec.LookPath("erl"); err != nil {
		return "", fmt.Errorf("there is no Erlang: install the package ejabberd: %w", err)
	}
	found, err := filepath.Glob("/usr/lib/*/ejabberd-*/ebin/ejabberd.app")
	if err != nil || len(found) == 0 {
		return "", errors.New("there is no ejabberd: install the package ejabberd")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(found[0]))), nil
}

// Restart starts a server that was ended, with its data and its addresses.
func (s *Server) Restart() {
	s.t.Helper()
	if !s.launch() {
		s.t.Fatalf("ejabberd does not start: %s", s.Log())
	}
}

// launch starts the server, and returns false if it does not listen at all addresses. It runs Erlang as a node without a name, which needs
// no epmd and listens nowhere else. The script ejabberdctl would give it a name, and would become another user.
func (s *Server) launch() bool {
	s.t.Helper()
	file := filepath.Join(s.dir, "ejabberd.yml")
	if err := os.WriteFile(file, []byte(s.configuration()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	command := exec.Command("erl", "+S", "2:2", "+sbwt", "none", "-noinput", //nolint:gosec,noctx // a test's own; Kill ends it
		"-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(s.dir, "data")), "-s", "ejabberd")
	command.Dir = s.dir
	command.Env = append(os.Environ(), "HOME="+s.dir, "ERL_LIBS="+s.libraries, "ERL_CRASH_DUMP_BYTES=0",
		"EJABBERD_CONFIG_PATH="+file, "EJABBERD_LOG_PATH="+filepath.Join(s.dir, "ejabberd.log"))
	return s.Launch(command, "is started in the node", ":"+programtest.Port(s.clientAddress)+" for ejabberd_c2s",
		":"+programtest.Port(s.ComponentAddress)+" for ejabberd_service", ":"+programtest.Port(s.SecondAddress)+" for ejabberd_service")
}

// configuration returns ejabberd's configuration. Without s2s, nothing of it leaves the machine: a domain without a component is refused.
func (s *Server) configuration() string {
	return fmt.Sprintf(`hosts: [%q]
loglevel: debug
log_burst_limit_count: 1000000
log_rotate_count: 0
registration_timeout: infinity
s2s_access: none
listen:
  - {module: ejabberd_c2s, ip: "127.0.0.1", port: %s}
  - {module: ejabberd_service, ip: "127.0.0.1", port: %s, hosts: {%[4]q: {password: %[5]q}}}
  - {module: ejabberd_service, ip: "127.0.0.1", port: %[6]s, hosts: {%[4]q: {password: %[7]q}}}
modules:
  mod_disco: {}
  mod_offline: {}
  mod_push: {}
  mod_push_keepalive: {}
  mod_register: {}
  mod_roster: {}
  mod_stream_mgmt: {}
`, xmpptest.Domain, programtest.Port(s.clientAddress), programtest.Port(s.ComponentAddress), xmpptest.Component, xmpptest.Secret,
		programtest.Port(s.SecondAddress), SecondSecret)
}

// AddUser makes an account with [xmpptest.Password].
func (s *Server) AddUser(name string) {
	s.t.Helper()
	xmpptest.Register(s.t, s.clientAddress, name)
}

// Login connects as a user of [Server.AddUser] with SASL PLAIN, and binds a resource.
func (s *Server) Login(user string) *xmpptest.Client {
	s.t.Helper()
	return xmpptest.Login(s.t, s.clientAddress, user, "")
}
