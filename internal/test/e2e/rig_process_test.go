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

// patience bounds everything that is waited for. Nothing takes this long unless it is broken.
const patience = 30 * time.Second

// process is a Caddy process and what it keeps on disk, which outlives it.
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

// head is in front of every configuration: nothing outside the test's folder, no privileged port, no prompt.
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

// certificate is the directive for a site's certificate: one of the process's own authority, for every name that tests use. The process
// itself trusts the authority as if it were one of the system's.
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
		canaries.folder(dir) // before what Caddy made itself is gone
		_ = os.RemoveAll(dir)
	})
	p.certify()
	return p
}

// certify writes the process's certificate and makes its authority one of those that it trusts.
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

// freePort is a port that nobody listens on. It is below those that outgoing connections take.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	t.Fatal("no port is free")
	return 0
}

// startGateway runs a process with a site https://gateway.test:{port} whose body is site, and the matrix_push block global.
func startGateway(t *testing.T, global, site string) *process {
	t.Helper()
	p := newProcess(t)
	p.start(gatewayConfig(global, site))
	return p
}

// gatewayConfig keeps nothing unless global has an outbox: what is not delivered is the homeserver's to send again. Nor has it a fuse
// unless global has: tests reject more than operators ever should.
func gatewayConfig(global, site string) string {
	for _, option := range []string{"outbox", "fuse"} {
		if !strings.Contains(global, option+" ") {
			global = option + " off\n" + global
		}
	}
	return strings.Replace(head, "{global}", "matrix_push {\n"+global+"\n}", 1) +
		"https://gateway.test:{port} {\n" + certificate + "\n" + site + "\n}\n"
}

// expand fills a configuration's {dir}, {port} and {port2} in.
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

// command is this binary as Caddy.
func (p *process) command(args ...string) command {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCaddy+"=1", "HOME="+p.dir, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
	cmd.Env = append(cmd.Env, p.env...)
	return command{cmd, p}
}

// kill ends the process without a chance to do anything about it.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// terminate asks the process to end, and waits until it has.
func (p *process) terminate() { p.end(syscall.SIGTERM) }

func (p *process) end(signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Errorf("Caddy does not end:\n%s", p.log)
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}

// load replaces the configuration through the admin API, and returns the error that Caddy answers.
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
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status + ": " + string(answer))
	}
	p.clients.forget()
	return nil
}

// url is the gateway's endpoint on the first site.
func (p *process) url() string {
	return "https://gateway.test:" + strconv.Itoa(p.port) + "/_matrix/push/v1/notify"
}

// generous is how much longer than it should something may take on a busy machine.
const generous = 3 * time.Second

// write writes a file into the process's folder.
func (p *process) write(name string, content []byte) {
	p.t.Helper()
	canaries.credentials(content)
	if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
		p.t.Fatal(err)
	}
}
