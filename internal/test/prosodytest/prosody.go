// Package prosodytest runs a real Prosody for a test, on loopback, with a directory for each server.
package prosodytest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/programtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// RequireVariable is the environment variable that makes a missing Prosody a failure.
const RequireVariable = "CI_REQUIRE_PROSODY"

// What the configuration of every server has. Each user's password is Password.
const (
	Domain    = xmpptest.Domain
	Component = xmpptest.Component
	Secret    = xmpptest.Secret
	Password  = xmpptest.Password
)

// Server is a Prosody with the virtual host [Domain] and the component [Component].
type Server struct {
	*programtest.Program
	// ComponentAddress is the address where components connect.
	ComponentAddress string

	t             testing.TB
	dir           string
	clientAddress string
	options       string
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
	s := &Server{t: t, dir: t.TempDir(), options: strings.Join(options, "\n")}
	s.Program = programtest.NewProgram(t, "Prosody")
	for range 3 { // another process may take a port before Prosody does
		s.ComponentAddress, s.clientAddress = programtest.FreeAddress(t), programtest.FreeAddress(t)
		if s.launch() {
			return s
		}
		s.Kill()
	}
	t.Fatalf("Prosody does not start: %s", s.Log())
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

// Restart starts a server that was ended, with its data and its addresses.
func (s *Server) Restart() {
	s.t.Helper()
	if !s.launch() {
		s.t.Fatalf("Prosody does not start: %s", s.Log())
	}
}

// launch starts the server, and returns false if it does not listen at both addresses.
func (s *Server) launch() bool {
	s.t.Helper()
	file := filepath.Join(s.dir, "prosody.cfg.lua")
	if err := os.WriteFile(file, []byte(s.configuration()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	command := exec.Command("prosody", "--config", file, "-F") //nolint:gosec,noctx // a test's own; Kill ends it
	command.Dir = s.dir
	const listens = "on [127.0.0.1]:"
	return s.Launch(command, listens+programtest.Port(s.clientAddress), listens+programtest.Port(s.ComponentAddress))
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
`, filepath.Join(s.dir, "data"), filepath.Join(s.dir, "pid"), programtest.Port(s.clientAddress), programtest.Port(s.ComponentAddress),
		s.options, Domain, Component, Secret)
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

// Login connects as a user of [Server.AddUser] with SASL PLAIN, and binds a resource.
func (s *Server) Login(user string) *xmpptest.Client {
	s.t.Helper()
	return s.LoginAs(user, "")
}

// LoginAs is like Login with a resource. It ends the user's session that has this resource. If it is empty, the server makes one up.
func (s *Server) LoginAs(user, resource string) *xmpptest.Client {
	s.t.Helper()
	return xmpptest.Login(s.t, s.clientAddress, user, resource)
}
