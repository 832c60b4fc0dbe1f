package telemetry

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// maxLines limits the log lines above debug level, and the events, that requests can cause in a minute.
	maxLines = 100
	// maxRejections limits those about rejected pushkeys, and about pushes dropped for strangers: anyone can make up pushkeys, and these
	// must not hide the others.
	maxRejections = 80
)

// allowance limits how much is reported in a minute, and counts by kind what is suppressed. The zero value is ready to use. It is safe
// for concurrent use.
type allowance struct {
	mu   sync.Mutex
	ends time.Time // of the current minute
	used int
	left map[string]int
	tell *time.Timer // reports what was suppressed when the minute ends; nil if nothing was
}

// take reports whether something may be reported, given at most so many in a minute. If not, report is called at the end of the minute
// with what was suppressed.
func (a *allowance) take(kind string, most int, report func(left map[string]int)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if !now.Before(a.ends) {
		a.ends, a.used = now.Add(time.Minute), 0
	}
	if a.used < most {
		a.used++
		return true
	}
	if a.left == nil {
		a.left = make(map[string]int)
		a.tell = time.AfterFunc(a.ends.Sub(now), func() { a.settle(report) })
	}
	a.left[kind]++
	return false
}

// settle reports what was suppressed until now.
func (a *allowance) settle(report func(left map[string]int)) {
	a.mu.Lock()
	left := a.left
	if a.tell != nil {
		a.tell.Stop()
	}
	a.left, a.tell = nil, nil
	a.mu.Unlock()
	if len(left) > 0 {
		report(left)
	}
}

// mayLog reports whether a line of a kind may be logged at a level.
func (o *Observer) mayLog(level zapcore.Level, kind string) bool {
	return o.mayLogOf(level, kind, false)
}

// mayLogOf reports whether a line of a kind may be logged at a level. madeUp means that anyone can cause the line.
func (o *Observer) mayLogOf(level zapcore.Level, kind string, madeUp bool) bool {
	most := maxLines
	if madeUp || level <= zapcore.InfoLevel {
		most = maxRejections
	}
	return o.logger.Core().Enabled(level) && o.lines.take(kind, most, o.linesLeft)
}

func (o *Observer) linesLeft(left map[string]int) {
	o.logger.Warn("log lines suppressed", zap.Int("lines", sum(left)), zap.Any("kinds", left),
		zap.String("hint", "requests caused more log lines than the limit for one minute; the metrics count all of them"))
}

// tell emits an event, unless there were too many in the current minute.
func (o *Observer) tell(event string, data map[string]any) {
	most := maxLines
	if event == eventPushkeyRejected {
		most = maxRejections
	}
	if o.events.take(event, most, o.eventsLeft) {
		o.emit(event, data)
	}
}

func (o *Observer) eventsLeft(left map[string]int) {
	o.logger.Warn("too many Caddy events; some were not emitted", zap.Int("events", sum(left)), zap.Any("kinds", left),
		zap.String("hint", "requests caused more events than the limit for one minute; the rest are not emitted"))
}

// Retire reports what was suppressed until now.
func (o *Observer) Retire() {
	o.lines.settle(o.linesLeft)
	o.events.settle(o.eventsLeft)
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
