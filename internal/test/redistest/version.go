package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// RequireVariable is the environment variable that makes a missing redis-server a failure, and RequireVersionsVariable that of a missing
// server of another version.
const (
	RequireVariable         = "CI_REQUIRE_REDIS"
	RequireVersionsVariable = "CI_REQUIRE_REDIS_VERSIONS"
)

// Version is a program that tests can run as the server.
type Version struct {
	Name string

	variable string // the environment variable with the path of the program; empty for Debian's
	require  string
}

// Debian is the redis-server in the PATH. The others are in packages of PyPI: see CONTRIBUTING.md.
var (
	Debian  = Version{"redis-server", "", RequireVariable}
	Redis62 = Version{"Redis 6.2", "REDIS62_SERVER", RequireVersionsVariable}
	Valkey9 = Version{"Valkey 9", "VALKEY9_SERVER", RequireVersionsVariable}
)

// Start starts a server of the version, like [Start].
func (v Version) Start(t testing.TB, options ...string) *Server {
	t.Helper()
	s := newServer(t, v.path(t), options...)
	s.Restart()
	return s
}

// path returns the program. If it is not installed, the test is skipped, unless it is required.
func (v Version) path(t testing.TB) string {
	t.Helper()
	name := "redis-server"
	if v.variable != "" {
		name = os.Getenv(v.variable)
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if v.variable != "" {
		err = fmt.Errorf("%s is not the path of %s: %w", v.variable, v.Name, err)
	}
	if os.Getenv(v.require) != "" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}
