package gateway

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxIdle is how many goroutines of a crew wait for work at most. Each has a stack of a few KiB.
	maxIdle = 256
	// idleTime is how long a goroutine of a crew waits for work at least, and at most twice that.
	idleTime = 5 * time.Second
)

// task is what a goroutine of a crew does.
type task interface{ run() }

// crew runs each task on its own goroutine. A goroutine that has done its task waits for another one, because the stack of a new
// goroutine grows several times during a push: a crew saves 3 % of a push's CPU time. It is safe for concurrent use.
// A task that ends its goroutine, as [runtime.Goexit] does, costs the crew only that goroutine.
type crew struct {
	mu sync.Mutex
	// idle are the goroutines without a task, by their channels. The one that became idle last is the next to get a task.
	idle []chan task
	// unused is the number of goroutines at the beginning of idle that had no task since the timer was last set.
	unused int
	timer  *time.Timer // nil if none is idle
	closed bool
}

// run starts a task.
func (c *crew) run(t task) {
	c.mu.Lock()
	n := len(c.idle)
	if n == 0 {
		c.mu.Unlock()
		go c.work(t)
		return
	}
	next := c.idle[n-1]
	c.idle[n-1] = nil
	c.idle = c.idle[:n-1]
	c.unused = min(c.unused, n-1)
	c.mu.Unlock()
	next <- t
}

func (c *crew) work(t task) {
	next := make(chan task, 1)
	for t != nil {
		t.run()
		if !c.wait(next) {
			return
		}
		t = <-next // nil ends the goroutine
	}
}

// wait adds the calling goroutine to the idle ones, unless there are enough.
func (c *crew) wait(next chan task) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) == maxIdle {
		return false
	}
	c.idle = append(c.idle, next)
	if c.timer == nil {
		c.timer = time.AfterFunc(idleTime, c.dismiss)
	}
	return true
}

// dismiss ends the goroutines that had no task since it was last called.
func (c *crew) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(c.unused)
	c.unused = len(c.idle)
	switch {
	case c.timer == nil: // closed
	case c.unused == 0:
		c.timer = nil
	default:
		c.timer.Reset(idleTime)
	}
}

// close ends the goroutines without a task, and each of the others after its task.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.unused = true, 0
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.end(len(c.idle))
}

// end ends the first n idle goroutines. The caller holds mu.
func (c *crew) end(n int) {
	for _, next := range c.idle[:n] {
		close(next)
	}
	c.idle = slices.Delete(c.idle, 0, n)
}
