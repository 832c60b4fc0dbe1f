package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
)

// logBuffer keeps what a process writes, and tells those who wait for a line.
type logBuffer struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed when there is more, or no more to come
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
	_, err := io.Copy(io.Discard, r) // what is behind a line that is too long
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	close(b.grown)
	return err
}

// wait waits until the text has been written; it is false if that will not happen.
func (b *logBuffer) wait(ctx context.Context, text string) bool {
	return b.waitFor(ctx, func() bool { return bytes.Contains(b.text.Bytes(), []byte(text)) })
}

// waitFor waits until a condition about the text holds; it is false if that will not happen. The lock is held when it is asked.
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

// dataRaces are the reports of data races in what a process wrote, but for one of Caddy's own: it starts its apps in any order, so that a
// client that calls while Caddy starts can have an event about its certificate copied while the TLS app notes that it has started.
func dataRaces(log string) string {
	var found strings.Builder
	for i, report := range strings.Split(log, "WARNING: DATA RACE") {
		report, _, _ = strings.Cut(report, "==================")
		own := strings.Contains(report, "caddytls.(*TLS).CaddyModule()") && strings.Contains(report, "caddytls.(*TLS).Start()")
		if i > 0 && !own {
			found.WriteString(report)
		}
	}
	return found.String()
}

func TestDataRacesAreFound(t *testing.T) {
	t.Parallel()
	const (
		head = "serving\n==================\nWARNING: DATA RACE\n"
		tail = "==================\nmore\n"
		ours = "Read at 0x01 by goroutine 7:\n  gateway.(*Gateway).Notify()\nPrevious write at 0x01 by goroutine 8:\n  gateway.(*Gateway).Stop()\n"
		own  = "Read at 0x01 by goroutine 7:\n  caddytls.(*TLS).CaddyModule()\nPrevious write at 0x01 by main goroutine:\n  caddytls.(*TLS).Start()\n"
	)
	for name, test := range map[string]struct{ log, want string }{
		"none":           {"serving\n", ""},
		"ours":           {head + ours + tail, "\n" + ours},
		"Caddy's own":    {head + own + tail, ""},
		"each of two":    {head + ours + tail + head + ours, "\n" + ours + "\n" + ours},
		"one beside it":  {head + own + tail + head + ours + tail, "\n" + ours},
		"half of it":     {head + strings.Replace(own, "Start()", "Stop()", 1), "\n" + strings.Replace(own, "Start()", "Stop()", 1)},
		"cut in between": {head + ours[:20], "\n" + ours[:20]},
	} {
		if got := dataRaces(test.log); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
