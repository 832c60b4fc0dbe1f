// Package programtest runs programs that nobody of this project wrote, such as servers and browsers, for a test.
package programtest

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

// patience is how long a test waits for a condition that a working program meets at once.
const patience = 60 * time.Second

// Program is a program that runs as a process.
type Program struct {
	t       testing.TB
	name    string
	process *exec.Cmd
	exited  chan struct{}
	log     *log
	before  int // the length of the log when the process was started
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
	p.before = len(p.log.String())
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
		if !p.log.wait(ctx, exited, func(log string) bool { return strings.Contains(log[p.before:], text) }) {
			return false
		}
	}
	return true
}

// Line waits until the process that was launched last has logged a line that contains a text, and returns what follows the text. It
// returns false if the process exits before.
func (p *Program) Line(text string) (rest string, ok bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	ok = p.log.wait(ctx, p.exited, func(log string) bool {
		_, after, _ := strings.Cut(log[p.before:], text)
		line, _, whole := strings.Cut(after, "\n")
		rest = strings.TrimSpace(line)
		return whole
	})
	return rest, ok
}

// WaitExit waits until the process exits by itself, and returns false if it doesn't within a time.
func (p *Program) WaitExit(within time.Duration) bool {
	if p.process == nil {
		return true
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
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

// Kill ends the program without warning. Its connections are closed, but its streams are not. If the command has its own process group,
// the whole group ends.
func (p *Program) Kill() {
	p.end(func(process *os.Process) error {
		if attributes := p.process.SysProcAttr; attributes != nil && attributes.Setpgid {
			return syscall.Kill(-process.Pid, syscall.SIGKILL)
		}
		return process.Kill()
	})
}

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
