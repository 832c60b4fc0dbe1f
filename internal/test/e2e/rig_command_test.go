package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// printed is the output of a command, and its exit code.
type printed struct {
	out, err string
	code     int
}

// ask runs `caddy matrix-push`.
func (p *process) ask(stdin string, args ...string) printed {
	p.t.Helper()
	cmd := p.command(append([]string{"matrix-push"}, args...)...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") {
		p.t.Errorf("%v: there are colours, although the output is not a terminal: %q", args, &out)
	}
	if text := out.String() + stderr.String(); strings.Contains(text, "/up/") || strings.Contains(text, "the secret content") {
		p.t.Errorf("%v: it prints an endpoint's path, or content: %s", args, text)
	}
	return printed{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// running runs the command with the address of the process's admin API.
func (p *process) running(stdin string, args ...string) printed {
	return p.ask(stdin, append(args, "--address", "unix/"+p.dir+"/admin.sock")...)
}

// want wants an exit code and these texts: in the standard output, or, if the command failed, in one sentence of the standard error.
func (r printed) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	text := r.out
	if code == 1 {
		if text = r.err; strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "Error: ") {
			t.Errorf("the error is not a sentence: %q", r.err)
		}
	} else if r.err != "" {
		t.Errorf("the standard error has %q", r.err)
	}
	if r.code != code {
		t.Errorf("the exit code is %d, want %d:\n%s%s", r.code, code, r.out, r.err)
	}
	for _, want := range texts {
		if !strings.Contains(text, want) {
			t.Errorf("it does not print %q:\n%s%s", want, r.out, r.err)
		}
	}
}

func (r printed) wantUsage(t *testing.T, text string) {
	t.Helper()
	if r.code != 2 || !strings.Contains(r.err, text) || r.out != "" {
		t.Errorf("the exit code is %d, and it prints %q and %q", r.code, r.out, r.err)
	}
}
