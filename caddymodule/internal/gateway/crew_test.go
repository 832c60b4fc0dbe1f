package gateway

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// job is a task of a test.
type job func()

func (j job) run() { j() }

// waiting returns how many of a crew's goroutines wait for a task, once nothing else is going on.
func (c *crew) waiting() int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle)
}

// together runs n tasks that are all under way at the same time.
func (c *crew) together(n int) {
	var begun sync.WaitGroup
	over := make(chan struct{})
	begun.Add(n)
	for range n {
		c.run(job(func() {
			begun.Done()
			<-over
		}))
	}
	begun.Wait()
	close(over)
}

func TestTasksOneAfterTheOtherShareAGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := new(crew)
		defer c.close()
		for range 100 {
			c.run(job(func() {}))
			if n := c.waiting(); n != 1 {
				t.Fatalf("%d goroutines wait", n)
			}
		}
	})
}

func TestACrewIsBoundedAndShrinksToWhatIsUsed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := new(crew)
		defer c.close()
		c.together(3 * maxIdle)
		if n := c.waiting(); n != maxIdle {
			t.Errorf("after a burst, %d goroutines wait, want %d", n, maxIdle)
		}
		for range 10 {
			time.Sleep(idleTime / 4)
			c.together(3)
		}
		if n := c.waiting(); n != 3 {
			t.Errorf("%d goroutines wait where 3 are used", n)
		}
		time.Sleep(2*idleTime + 1)
		if n := c.waiting(); n != 0 || c.timer != nil {
			t.Errorf("%d goroutines wait where none is used", n)
		}
		c.together(2)
		if n := c.waiting(); n != 2 {
			t.Errorf("%d goroutines wait after the pause, want 2", n)
		}
	})
}

// The bubble fails if a goroutine remains.
func TestAClosedCrewStillDoesItsTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := new(crew)
		c.together(5)
		over, did := make(chan struct{}), 0
		c.run(job(func() { <-over; did++ }))
		synctest.Wait()
		c.close()
		close(over)
		synctest.Wait()
		c.run(job(func() { did++ }))
		c.close()
		if n := c.waiting(); n != 0 || did != 2 {
			t.Errorf("%d goroutines wait, and %d tasks are done", n, did)
		}
	})
}

// A panic is caught in the goroutine, which goes on. Goexit ends the goroutine, and the next push gets another one.
func TestAPushThatEndsItsGoroutineCostsNoOtherPush(t *testing.T) {
	for name, end := range map[string]func(){"a panic": func() { panic("lost") }, "Goexit": runtime.Goexit} {
		bubbleIn(t, name, func(t *testing.T) {
			p := &scripted{script: func(_ context.Context, push *providers.Push) providers.Outcome {
				if push.Device.Pushkey == "bad" {
					end()
				}
				return providers.Delivered()
			}}
			r := newRig(t, appFor("app", p))
			for i := range 2 * maxOverdue {
				wantLine(t, r.notify(event(fmt.Sprint("$bad", i), device("bad"))), `503 after 5s`)
				synctest.Wait() // a request is answered before the push's goroutine waits for the next push
				wantLine(t, r.notify(event(fmt.Sprint("$good", i), device("good"))), `[]`)
				synctest.Wait()
			}
			start := time.Now()
			r.Shared.Drain(t.Context())
			if took := time.Since(start); took > 0 {
				t.Errorf("the pushes needed another %s", took)
			}
			for _, a := range r.attempts() {
				if bad := a.Outcome.Kind != providers.KindDelivered; bad && a.Outcome.Reason != "panic" {
					t.Errorf("the outcome is %+v", a.Outcome)
				}
			}
			if n := r.Shared.crew.waiting(); n != 1 {
				t.Errorf("%d goroutines wait, want 1", n)
			}
		})
	}
}
