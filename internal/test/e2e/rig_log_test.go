package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// logBuffer keeps what a process writes, and wakes those who wait for a line.
type logBuffer struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed when more is written, or when no more can be written
	ended bool
}

func newLogBuffer() *logBuffer { return &logBuffer{grown: make(chan struct{})} }

func (b *logBuffer) follow(r io.Reader) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 4<<20)
	for scanner.Scan() {
		b.mu.Lock()
		b.text.Write(scanner.Bytes())
		b.text.WriteByte('\n')
		close(b.grown)
		b.grown = make(chan struct{})
		b.mu.Unlock()
	}
	_, err := io.Copy(io.Discard, r) // the rest after a line that is too long
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	close(b.grown)
	return err
}

// wait waits until the text has been written. It returns false if that will not happen.
func (b *logBuffer) wait(ctx context.Context, text string) bool {
	return b.waitFor(ctx, func() bool { return bytes.Contains(b.text.Bytes(), []byte(text)) })
}

// waitFor waits until a condition about the text holds. It returns false if that will not happen. The lock is held when the condition is
// checked.
func (b *logBuffer) waitFor(ctx context.Context, condition func() bool) bool {
	for {
		b.mu.Lock()
		found, ended, grown := condition(), b.ended, b.grown
		b.mu.Unlock()
		if found || ended {
			return found
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return false
		}
	}
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// racesOfCaddy are data races within Caddy, each by the two functions that meet.
var racesOfCaddy = [][2]string{
	// Caddy starts its apps in any order. If a client connects meanwhile, an event about its certificate can copy the TLS app while that
	// records that it has started, or begins to clean its storage.
	{"caddytls.(*TLS).CaddyModule()", "caddytls.(*TLS).Start()"},
	{"caddytls.(*TLS).CaddyModule()", "caddytls.(*TLS).keepStorageClean()"},
	// A server accepts connections before its part for HTTP/3 is made, and a request that comes meanwhile asks whether there is one.
	{"caddyhttp.(*Server).ServeHTTP()", "caddyhttp.(*Server).serveHTTP3()"},
}

// accessed finds the function of each of the two accesses in a report of a data race.
var accessed = regexp.MustCompile(`(?i)(?:read|write) at \S+ by .*:\n\s+(\S+)\n`)

// dataRaces returns the reports of data races in a process's output, except those of Caddy.
func dataRaces(log string) string {
	var found strings.Builder
	for i, report := range strings.Split(log, "WARNING: DATA RACE") {
		report, _, _ = strings.Cut(report, "==================")
		if i > 0 && !slices.ContainsFunc(racesOfCaddy, func(of [2]string) bool { return meet(report, of) }) {
			found.WriteString(report)
		}
	}
	return found.String()
}

// meet reports whether two functions made the two accesses of a report.
func meet(report string, functions [2]string) bool {
	accesses := accessed.FindAllStringSubmatch(report, -1)
	if len(accesses) != 2 {
		return false
	}
	by := func(access int, function string) bool { return strings.HasSuffix(accesses[access][1], function) }
	return by(0, functions[0]) && by(1, functions[1]) || by(0, functions[1]) && by(1, functions[0])
}

// wantLogged waits for a text in the log of the process.
func (p *process) wantLogged(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if !p.log.wait(ctx, text) {
		p.t.Fatalf("%s is not in the log:\n%s", text, p.log)
	}
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// errorList collects errors, of which hundreds may be alike.
type errorList struct {
	mu  sync.Mutex
	all []error
}

func (e *errorList) add(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, err)
}

// report fails the test with the first errors.
func (e *errorList) report(t *testing.T) {
	t.Helper()
	const some = 5
	for _, err := range e.all[:min(some, len(e.all))] {
		t.Error(err)
	}
	if more := len(e.all) - some; more > 0 {
		t.Errorf("and %d more", more)
	}
}

// logged returns the lines that the process logged, and its events.
func (p *process) logged() (lines []logLine, events []string) {
	for text := range strings.Lines(p.log.String()) {
		var line logLine
		if json.Unmarshal([]byte(text), &line) != nil {
			line.Level, line.Message = "error", text // not a line of Caddy, such as a panic
		}
		line.text = text
		if line.Event == "" {
			lines = append(lines, line)
		} else {
			events = append(events, line.Event)
		}
	}
	return lines, events
}

// logLine has the fields of a log line that tests need.
type logLine struct {
	Level   string `json:"level"`
	Message string `json:"msg"`
	Event   string `json:"event"`
	text    string
}

// wantNobodyCalled wants nothing that alerts operators: no error in the log, no event of that kind, and nothing degraded.
func (p *process) wantNobodyCalled() {
	p.t.Helper()
	var calls errorList
	lines, events := p.logged()
	for _, line := range lines {
		if line.Level != "debug" && line.Level != "info" && line.Level != "warn" {
			calls.add(errors.New("the log has an error: " + line.text))
		}
	}
	for _, event := range events {
		if name, _, _ := strings.Cut(event, " "); name != "pushkey_rejected" && name != "breaker_closed" && name != "fuse_reset" {
			calls.add(errors.New("there was an event: " + event))
		}
	}
	calls.report(p.t)
	const ready = `{"status":"ready","degraded":[]}`
	if _, answer := p.adminDo(http.MethodGet, "/matrix_push/health/ready", ""); strings.TrimSpace(answer) != ready {
		p.t.Errorf("the gateway is %s", answer)
	}
}
