package e2e

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// The tests in synapse_*_test.go have a real homeserver in front of the gateway: Synapse, from PyPI. They use only the client-server API,
// and check the requests to push services.

const (
	// synapsePython is the environment variable with the path of the python that has Synapse. Without it, the tests use synapse_homeserver
	// in the PATH.
	synapsePython = "SYNAPSE_PYTHON"
	// requireSynapse is the environment variable that makes a missing Synapse a failure.
	requireSynapse = "CI_REQUIRE_SYNAPSE"
)

// synapse is a Synapse with SQLite on a port of loopback. The tests of a run share it. Each has its own users and rooms.
type synapse struct {
	dir string
	url string
	// secret lets a test register an administrator.
	secret string
	// ca signs the gateways' certificates, and is the only authority that Synapse trusts.
	ca     *providertest.CA
	cmd    *exec.Cmd
	exited chan struct{}
	log    *logBuffer
}

// aSharedSynapse is a Synapse of this run, once a test has started it.
type aSharedSynapse struct {
	once sync.Once
	*synapse
	err error
}

// sharedSynapse is the Synapse of nearly all tests. strictSynapse pushes only to public addresses, as Synapse does by default.
var sharedSynapse, strictSynapse aSharedSynapse

// pushesToLoopback are the options of a Synapse that pushes to the gateways, which are on loopback.
func pushesToLoopback() map[string]any { return map[string]any{"ip_range_blacklist": []any{}} }

// theSynapse returns the Synapse of this run, which the first test starts. If none is installed, the test is skipped, unless
// CI_REQUIRE_SYNAPSE is set.
func theSynapse(t *testing.T) *synapse {
	t.Helper()
	return sharedSynapse.start(t, pushesToLoopback())
}

// theStrictSynapse returns a Synapse that does not push to this machine.
func theStrictSynapse(t *testing.T) *synapse {
	t.Helper()
	return strictSynapse.start(t, nil)
}

func (s *aSharedSynapse) start(t *testing.T, options map[string]any) *synapse {
	t.Helper()
	command, err := synapseCommand()
	if err != nil {
		if os.Getenv(requireSynapse) != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s.once.Do(func() { s.synapse, s.err = startSynapse(t, command, options) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.synapse
}

// synapseCommand returns the command that runs Synapse.
func synapseCommand() ([]string, error) {
	if python := os.Getenv(synapsePython); python != "" {
		return []string{python, "-m", "synapse.app.homeserver"}, nil
	}
	path, err := exec.LookPath("synapse_homeserver")
	if err != nil {
		return nil, errors.New("there is no Synapse: install matrix-synapse from PyPI into a venv, and set " + synapsePython + " to its python (CONTRIBUTING.md)")
	}
	return []string{path}, nil
}

// anotherSynapse runs a Synapse with other options, for one test.
func anotherSynapse(t *testing.T, options map[string]any) *synapse {
	t.Helper()
	s := new(aSharedSynapse).start(t, options)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startSynapse runs Synapse and returns when it listens. The options are in addition to those that all tests need.
func startSynapse(t *testing.T, command []string, options map[string]any) (*synapse, error) {
	dir, err := os.MkdirTemp("", "synapse") //nolint:usetesting // it outlives the test
	if err != nil {
		return nil, err
	}
	s := &synapse{secret: rand.Text(), dir: dir, ca: providertest.NewCA(t), exited: make(chan struct{}), log: newLogBuffer()}
	if err := s.configure(options); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.cmd = exec.Command(command[0], append(command[1:], "--config-path", filepath.Join(dir, "homeserver.yaml"))...)
	s.cmd.Dir = dir
	// Its environment has no proxy. OpenSSL finds the authority in place of the system's, because Synapse's push client has no option for
	// it.
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SSL_CERT_FILE=" + filepath.Join(dir, "ca.pem")}
	stderr, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		_ = s.log.follow(stderr)
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.listens(); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// listening is what Synapse logs when it accepts requests.
var listening = regexp.MustCompile(`Synapse now listening on TCP port (\d+)`)

// listens waits until Synapse listens. Synapse makes its tables first.
func (s *synapse) listens() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	s.log.wait(ctx, "Synapse now listening on TCP port ")
	port := listening.FindStringSubmatch(s.log.String())
	if port == nil {
		return fmt.Errorf("no Synapse listens: %s", cmp.Or(s.log.String(), "its log is empty"))
	}
	s.url = "http://127.0.0.1:" + port[1]
	return nil
}

// configure writes Synapse's files. The homeserver has no federation and no rate limits, and these options.
func (s *synapse) configure(options map[string]any) error {
	config := map[string]any{
		"server_name": "hs.test",
		"listeners": []any{map[string]any{
			"port": 0, "bind_addresses": []string{"127.0.0.1"}, "type": "http", "resources": []any{map[string]any{"names": []string{"client"}}},
		}},
		"database":         map[string]any{"name": "sqlite3", "args": map[string]any{"database": filepath.Join(s.dir, "homeserver.db")}},
		"media_store_path": filepath.Join(s.dir, "media"),
		"pid_file":         filepath.Join(s.dir, "pid"),
		"signing_key_path": filepath.Join(s.dir, "signing.key"),

		"macaroon_secret_key": rand.Text(),
		"form_secret":         rand.Text(),
		"bcrypt_rounds":       4,

		"trusted_key_servers": []any{},
		"report_stats":        false,
		"presence":            map[string]any{"enabled": false},

		"enable_registration":                      true,
		"enable_registration_without_verification": true,
		"registration_shared_secret":               s.secret,
	}
	often := map[string]any{"per_second": 100_000, "burst_count": 100_000}
	for _, name := range []string{"rc_message", "rc_registration", "rc_joins_per_room", "rc_room_creation", "rc_profile"} {
		config[name] = often
	}
	config["rc_login"] = map[string]any{"address": often, "account": often, "failed_attempts": often}
	config["rc_joins"] = map[string]any{"local": often, "remote": often}
	config["rc_invites"] = map[string]any{"per_room": often, "per_user": often, "per_issuer": often}

	maps.Copy(config, options)

	seed := make([]byte, 32)
	_, _ = rand.Read(seed) // never fails, see its documentation
	authority, err := os.ReadFile(s.ca.File)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"homeserver.yaml": mustMarshal(config), // YAML is a superset of JSON
		"signing.key":     []byte("ed25519 a_test " + base64.RawStdEncoding.EncodeToString(seed) + "\n"),
		"ca.pem":          authority,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// stop kills Synapse, and removes its files. It may be called without a Synapse.
func (s *synapse) stop() error {
	if s == nil {
		return nil
	}
	_ = s.cmd.Process.Kill()
	select {
	case <-s.exited:
	case <-time.After(patience):
		return errors.New("Synapse does not stop")
	}
	return os.RemoveAll(s.dir)
}

// certify gives a process, before it starts, a certificate that Synapse trusts.
func (s *synapse) certify(p *process) {
	p.t.Helper()
	cert := s.ca.Certificate(p.t, "localhost")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	p.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

// tells prints what Synapse logged about a user's pushers, if a test fails.
func (s *synapse) tells(u *matrixUser) {
	u.t.Cleanup(func() {
		if !u.t.Failed() {
			return
		}
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, u.id) && strings.Contains(line, "synapse.push.") && !strings.Contains(line, "Processing ") {
				u.t.Log(strings.TrimSpace(line))
			}
		}
	})
}
