package e2e

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/matrix-push/caddy-matrix-push"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// asCaddy makes the test binary run as Caddy, with the arguments that follow.
const asCaddy = "CADDY_MATRIX_PUSH_E2E_RUN_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		useResolver()
		caddycmd.Main()
		return
	}
	code := m.Run()
	canaries.failed(sharedSynapse.stop())
	unraced.remove()
	os.Exit(canaries.verdict(code, os.Stderr))
}

// patience is the longest time that a test waits for anything. Nothing takes this long unless it is broken.
const patience = 30 * time.Second

// process is a Caddy process with its files, which outlive it.
type process struct {
	t   *testing.T
	dir string
	// port is a free port that configurations may use as {port}, port2 a second one as {port2}.
	port, port2 int
	admin       *http.Client
	env         []string

	cmd     *exec.Cmd
	exited  chan struct{}
	log     *logBuffer
	stdout  string // the file with the standard output
	clients *transports
}

// head begins every configuration: no files outside the test's folder, no privileged ports, no prompts.
const head = `{
	admin unix/{dir}/admin.sock
	persist_config off
	storage file_system {dir}/storage
	auto_https disable_redirects
	grace_period 10s
	debug
	{global}
}
`

// certificate is the directive for a site's certificate. The process's own authority signed it, for every name that tests use. The process
// trusts this authority like one of the system.
const certificate = "tls {dir}/cert.pem {dir}/key.pem"

// newProcess prepares a process without starting it.
func newProcess(t *testing.T) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // the names of t.TempDir are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "admin.sock")
	p := &process{t: t, clients: new(transports), dir: dir, port: freePort(t), port2: freePort(t)}
	p.admin = &http.Client{
		Timeout: patience,
		Transport: &shown{file: p.kept("the admin API"), Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		}},
	}
	t.Cleanup(func() {
		p.kill()
		canaries.folder(dir) // before the files that Caddy made are removed
		_ = os.RemoveAll(dir)
	})
	p.certify()
	return p
}

// certify writes the process's certificate, and adds the authority to those that the process trusts.
func (p *process) certify() {
	ca := providertest.NewCA(p.t)
	cert := ca.Certificate(p.t, "gateway.test", "other.test", "localhost")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	p.env = append(p.env, "SSL_CERT_FILE="+ca.File)
}

// portsGiven are the ports that freePort has returned. A process may listen on its port only later, and Linux lets two processes of a user
// share a port if both are Caddy.
var portsGiven sync.Map

// freePort returns a port that no process listens on, and that no other test of this run has. It is below the ports of outgoing connections.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		if _, given := portsGiven.LoadOrStore(port, true); given {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
	t.Fatal("there is no free port")
	return 0
}

// startGateway runs a process with a site https://gateway.test:{port} whose body is site, and the matrix_push block global.
func startGateway(t *testing.T, global, site string) *process {
	t.Helper()
	p := newProcess(t)
	p.start(gatewayConfig(global, site))
	return p
}

// gatewayConfig returns a configuration without outbox and fuse, unless global has them. Without an outbox, the homeserver must repeat what
// is not delivered. A fuse would trip, because tests reject many pushkeys.
func gatewayConfig(global, site string) string {
	for _, option := range []string{"outbox", "fuse"} {
		if !strings.Contains(global, option+" ") {
			global = option + " off\n" + global
		}
	}
	return strings.Replace(head, "{global}", "matrix_push {\n"+global+"\n}", 1) +
		"https://gateway.test:{port} {\n" + certificate + "\n" + site + "\n}\n"
}

// expand replaces {dir}, {port} and {port2} in a configuration.
func (p *process) expand(config string) string {
	return strings.NewReplacer(
		"{dir}", p.dir, "{port}", strconv.Itoa(p.port), "{port2}", strconv.Itoa(p.port2), "{global}", "",
	).Replace(config)
}

// start runs Caddy on a Caddyfile and returns when it serves it.
func (p *process) start(config string) {
	p.t.Helper()
	file := filepath.Join(p.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(p.expand(config)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	canaries.configured(p.expand(config))
	p.cmd = p.command("run", "--config", file).Cmd
	stdout, kept := p.kept("the standard output"), p.kept("the log")
	p.cmd.Stdout, p.stdout = stdout, stdout.Name()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.exited = make(chan struct{})
	p.log = newLogBuffer()
	go func() {
		err := p.log.follow(io.TeeReader(stderr, kept))
		_ = p.cmd.Wait()
		canaries.failed(errors.Join(err, kept.Close(), stdout.Close()))
		close(p.exited)
	}()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if !p.log.wait(ctx, "serving initial configuration") {
		p.t.Fatalf("Caddy does not serve:\n%s", p.log)
	}
	log := p.log
	p.t.Cleanup(func() {
		if races := dataRaces(log.String()); races != "" {
			p.t.Errorf("a data race in Caddy:\n%s", races)
		}
	})
}

// command returns a command that runs this binary as Caddy.
func (p *process) command(args ...string) command {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCaddy+"=1", "HOME="+p.dir, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
	cmd.Env = append(cmd.Env, p.env...)
	return command{cmd, p}
}

// kill kills the process, which has no chance to finish anything.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// terminate asks the process to stop, and waits until it has stopped.
func (p *process) terminate() { p.end(syscall.SIGTERM) }

func (p *process) end(signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Errorf("Caddy does not stop:\n%s", p.log)
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}

// load replaces the configuration through the admin API, and returns the error in Caddy's answer.
func (p *process) load(config string) error {
	return p.request(http.MethodPost, "/load", "text/caddyfile", p.expand(config))
}

// set changes one value of the running configuration.
func (p *process) set(path, value string) error {
	return p.request(http.MethodPost, "/config/"+path, "application/json", value)
}

func (p *process) request(method, path, contentType, body string) error {
	canaries.configured(body)
	req, err := http.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := p.admin.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	p.settle()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status + ": " + string(answer))
	}
	p.clients.forget()
	return nil
}

// url returns the gateway's endpoint on the first site.
func (p *process) url() string {
	return "https://gateway.test:" + strconv.Itoa(p.port) + "/_matrix/push/v1/notify"
}

// generous is the extra time that anything may take on a busy machine.
const generous = 3 * time.Second

// write writes a file into the process's folder.
func (p *process) write(name string, content []byte) {
	p.t.Helper()
	canaries.credentials(content)
	if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
		p.t.Fatal(err)
	}
}
