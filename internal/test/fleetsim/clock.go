package fleetsim

import "time"

// clock is the virtual clock, and what is to happen. Events at the same time happen in the order in which they were added.
type clock struct {
	now    time.Duration
	added  uint64
	events heap[event]
}

type event struct {
	at  time.Duration
	nth uint64
	do  func()
}

func (e event) before(o event) bool { return e.at < o.at || e.at == o.at && e.nth < o.nth }

// at makes something happen at a time, but not before now.
func (c *clock) at(t time.Duration, do func()) {
	c.added++
	c.events.push(event{max(t, c.now), c.added, do})
}

func (c *clock) after(d time.Duration, do func()) { c.at(c.now+d, do) }

// next makes the next event happen, and reports false if there are no more.
func (c *clock) next() bool {
	if len(c.events) == 0 {
		return false
	}
	e := c.events.pop()
	c.now = e.at
	e.do()
	return true
}
