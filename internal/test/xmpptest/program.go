package xmpptest

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What every real server has: a host for users, whose password is Password, and a component.
const (
	Domain    = "example.test"
	Component = "push.example.test"
	Secret    = "s3cret"
	Password  = "pw"
)

// patience is how long a test waits for a condition that a working server meets at once.
const patience = 60 * time.Second

// Program is a real server, which runs as a process on loopback.
type Program struct {
	t       testing.TB
	name    string
	process *exec.Cmd
	exited  chan struct{}
	log     *log
}

// NewProgram returns a program that is not started. It ends with the test. The directories that it uses must have been made before.
func NewProgram(t testing.TB, name string) *Program {
	p := &Program{t: t, name: name, log: &log{changed: make(chan struct{})}}
	t.Cleanup(p.Kill)
	return p
}

// Launch runs a command as the program, and returns false if it exits, or does not log each of these texts.
func (p *Program) Launch(command *exec.Cmd, texts ...string) bool {
	p.t.Helper()
	before := len(p.log.String())
	command.Stdout, command.Stderr = p.log, p.log
	command.WaitDelay = 5 * time.Second // for helpers of the program that end after it
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(exited)
	}()
	p.process, p.exited = command, exited
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for _, text := range texts {
		if !p.log.wait(ctx, exited, func(log string) bool { return strings.Contains(log[before:], text) }) {
			return false
		}
	}
	return true
}

// WaitLog waits until the log contains a text.
func (p *Program) WaitLog(text string) {
	p.t.Helper()
	p.WaitLogs(text, 1)
}

// WaitLogs waits until the log contains a text a number of times.
func (p *Program) WaitLogs(text string, times int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if !p.log.wait(ctx, p.exited, func(log string) bool { return strings.Count(log, text) >= times }) {
		p.t.Fatalf("%s's log has %q not %d times: %s", p.name, text, times, p.log)
	}
}

// Log returns what the program has logged until now.
func (p *Program) Log() string { return p.log.String() }

// Kill ends the program without warning. Its connections are closed, but its streams are not.
func (p *Program) Kill() { p.end((*os.Process).Kill) }

// Stop ends the program in order.
func (p *Program) Stop() {
	p.end(func(process *os.Process) error { return process.Signal(syscall.SIGTERM) })
}

func (p *Program) end(how func(*os.Process) error) {
	if p.process == nil {
		return
	}
	_ = how(p.process.Process)
	<-p.exited
	p.process = nil
}

// FreeAddress returns an address of loopback where nobody listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Port returns the port of an address.
func Port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// log is what a program has written.
type log struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next change
}

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

// wait waits until a condition holds, and returns false if it doesn't before the program exits or the context is done.
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
