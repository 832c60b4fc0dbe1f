package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// phonePage is the section of docs/troubleshooting.md that leads to the reason why a phone does not ring. Its commands are run as they are
// written, with the values of a test in their variables.
type phonePage struct {
	t       *testing.T
	gateway *process
	blocks  []string
	shims   string
	env     []string
}

// newPhonePage reads the section. Its commands find this gateway's admin endpoint, and its site by GATEWAY.
func newPhonePage(t *testing.T, gateway *process, d device) *phonePage {
	t.Helper()
	page, err := os.ReadFile(filepath.FromSlash("../../../docs/troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## \"My phone does not ring")
	if !found {
		t.Fatal("the section is not on the page")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	p := &phonePage{t: t, gateway: gateway, shims: t.TempDir()}
	for i, part := range strings.Split(section, "```sh\n") {
		if block, _, _ := strings.Cut(part, "```"); i > 0 {
			p.blocks = append(p.blocks, block)
		}
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI_REQUIRE_TOOLS") != "" {
			t.Fatalf("CI_REQUIRE_TOOLS is set: %v", err)
		}
		t.Skipf("the page's commands are not run: %v", err)
	}
	caddy := gateway.command()
	p.shim("caddy", caddy.Path+` "$@" --address "unix/`+gateway.dir+`/admin.sock"`)
	p.shim("curl", fmt.Sprintf(`%s --noproxy '*' --cacert "$SSL_CERT_FILE" --connect-to gateway.test:%d:127.0.0.1:%[2]d "$@"`, curl, gateway.port))
	p.env = append(caddy.Env, "PATH="+p.shims+":"+os.Getenv("PATH"), fmt.Sprintf("GATEWAY=https://gateway.test:%d", gateway.port))
	p.about(d)
	return p
}

// shim puts a command first in the PATH.
func (p *phonePage) shim(name, command string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.shims, name), []byte("#!/bin/sh\nexec "+command+"\n"), 0o700); err != nil {
		p.t.Fatal(err)
	}
}

// about sets the device that the page's commands ask about.
func (p *phonePage) about(d device) {
	p.env = append(p.env, "APP_ID="+d.AppID, "PUSHKEY="+d.Pushkey)
}

// The page's commands.
const (
	pageStatus   = "caddy matrix-push status"
	pageExplain  = "caddy matrix-push rejected explain"
	pageSend     = "caddy matrix-push send"
	pageEndpoint = "/_matrix/push/v1/notify"
	pagePushers  = "/_matrix/client/v3/pushers"
	pageAdmin    = "/_synapse/admin/v1/users/"
)

// run runs the page's block with a command.
func (p *phonePage) run(command string) printed {
	p.t.Helper()
	var found []string
	for _, block := range p.blocks {
		if strings.Contains(block, command) {
			found = append(found, block)
		}
	}
	if len(found) != 1 {
		p.t.Fatalf("%d blocks of the page contain %q", len(found), command)
	}
	cmd := exec.Command("/bin/sh", "-e", "-c", found[0])
	var out, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &out, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return printed{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}
