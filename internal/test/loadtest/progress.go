package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

const (
	// startTime is about how long the processes of a measurement take to start and to stop.
	startTime = time.Second
	// idleTime is about how long it takes to open a connection.
	idleTime = 2 * time.Millisecond
)

// measurements returns how many measurements the options ask for, each in new processes.
func (o *options) measurements() int {
	n := 2 * o.Pairs
	switch {
	case o.Idle > 0:
		return n
	case o.Sweep:
		return 1 + len(steps)*n
	case o.Rate.Share:
		return 1 + n
	default:
		return n
	}
}

// each returns about how long a measurement takes.
func (o *options) each() time.Duration {
	switch {
	case o.Idle > 0:
		return startTime + time.Duration(o.Idle)*idleTime
	case o.Burst > 0:
		return startTime + time.Duration(o.Burst)*idleTime + o.Latency
	}
	return startTime + o.Warmup + o.Duration
}

// progress shows on a terminal how far the run is.
type progress struct {
	terminal io.Writer // nil if there is none
	total    int
	each     time.Duration
	now      func() time.Time

	begun   int
	started time.Time
}

// newProgress prints how long the run takes, and returns its progress.
func newProgress(o *options, out io.Writer, stderr *os.File) *progress {
	p := &progress{total: o.measurements(), each: o.each(), now: time.Now}
	if stderr != nil && term.IsTerminal(int(stderr.Fd())) {
		p.terminal = stderr
	}
	fmt.Fprintf(out, "%d measurements, which take about %s in all\n", p.total, (p.each * time.Duration(p.total)).Round(time.Second))
	return p
}

// next shows that the next measurement begins, and about how long the run still takes.
func (p *progress) next(name string) {
	if p == nil || p.terminal == nil {
		return
	}
	if p.begun == 0 {
		p.started = p.now()
	} else {
		p.each = p.now().Sub(p.started) / time.Duration(p.begun)
	}
	left := (p.each * time.Duration(p.total-p.begun)).Round(time.Second)
	p.begun++
	fmt.Fprintf(p.terminal, "\r\x1b[Kmeasurement %d of %d (%s), about %s left", p.begun, p.total, name, left)
}

// clear removes the line, to make room for the output.
func (p *progress) clear() {
	if p != nil && p.terminal != nil {
		fmt.Fprint(p.terminal, "\r\x1b[K")
	}
}
