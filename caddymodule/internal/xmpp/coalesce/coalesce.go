// Package coalesce turns a burst of pushes for one device into few. XMPP servers send bursts: when a session was replaced, a server sent
// 23 pushes for it within 54 ms. Servers also push each call twice, one second apart.
//
// # What goes out
//
// The first push for a device goes out at once, and begins a window. While the window lasts:
//
//   - A push that shows the same as the one that went out last is the same push, for [Twin]. It goes nowhere.
//   - A push that is more urgent than all that went out in the window goes out at once. So does each push with [Options.AtOnce]: a call
//     must ring.
//   - Of all other pushes, only one is held. A push replaces the held one, unless the held one is more urgent.
//
// When the window ends, the held push goes out, and begins the next window. If a push was not accepted, or if its device is dead, the
// window ends with the verdict, so the next push gets its own verdict.
//
// # Answers
//
// Each push is answered with the verdict about the push that went out for it, once that verdict is known. So no answer promises more than
// what happened.
//
// # Bounds
//
// Anybody can send pushes for any number of devices. If there is no room for a window or for a push to hold, the push goes out at once.
// If too many pushes are on their way, or too many wait for the same verdict, a push is answered with [Options.Busy]. One sender's pushes
// cannot take all the room.
package coalesce

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Twin is how long a push that shows the same as the last one counts as the same push.
const Twin = 2 * time.Second

const (
	// maxOnTheirWay is how many pushes may be on their way at a time, and maxOfSender how many of them may come from one sender.
	maxOnTheirWay = 512
	maxOfSender   = maxOnTheirWay / 2
	// maxWindows is how many devices may have a window. Without a held push, a window takes less than 1 KiB.
	maxWindows = 16384
	// maxHeld is how many bytes all held pushes may have, with the answers of those that wait for the verdict about another one.
	maxHeld = 8 << 20
	// maxAnswers is how many pushes may wait for the same verdict.
	maxAnswers = 64
)

// Push is a push for a device. P is what is delivered, and V is a verdict about it.
type Push[P, V any] struct {
	// Device identifies the device, and Sender the server that sent the push.
	Device, Sender [16]byte
	// Urgency is higher if the push is more urgent.
	Urgency uint8
	// Shows identifies what the push shows, such as a hash of its text. It is zero for a push that only wakes the device.
	Shows [16]byte
	// Size is how many bytes the push takes while it is held, with Answer. AnswerSize is how many of them only Answer takes.
	Size, AnswerSize int
	// Value is the push itself.
	Value P
	// Answer is called once, with the verdict. coalesced means that the verdict is about another push, which went out for this one. It
	// must not block.
	Answer func(verdict V, coalesced bool)
}

// Options are the parts of a [Coalescer].
type Options[P, V any] struct {
	// Window is how long a window lasts; 0 turns coalescing off.
	Window time.Duration
	// Deliver delivers a push, and returns the verdict. Each call has its own goroutine.
	Deliver func(P) V
	// Final reports whether a verdict ends the window, because the push was not accepted, or because the device is dead.
	Final func(V) bool
	// AtOnce is the urgency from which on a push is never held; 0 for none.
	AtOnce uint8
	// Busy is the verdict about a push that there is no room for, or that comes after [Coalescer.Close].
	Busy V
}

// Coalescer coalesces pushes. It is safe for concurrent use.
type Coalescer[P, V any] struct {
	Options[P, V]

	mu       sync.Mutex
	windows  map[[16]byte]*window[P, V]
	held     int // bytes
	onTheWay int
	senders  map[[16]byte]int // how many of them each sender has
	closed   bool
	due      []func() // answers to give once mu is unlocked
	flights  sync.WaitGroup
}

// window is the time in which the pushes for a device are coalesced.
type window[P, V any] struct {
	end *time.Timer // nil if there was no room for the window
	// last is the push that went out last, and urgency the highest of all that went out.
	last    *flight[P, V]
	urgency uint8
	// held is the push that goes out when the window ends; nil if there is none.
	held *flight[P, V]
}

// flight is a push that goes out, or is held, with the answers to all pushes that it stands for.
type flight[P, V any] struct {
	Push[P, V]
	began   time.Time
	others  []func(verdict V, coalesced bool)
	waiting int // bytes of others, which count as held
	landed  bool
	verdict V // once landed
}

// New makes a coalescer. Close must be called once.
func New[P, V any](o Options[P, V]) *Coalescer[P, V] {
	return &Coalescer[P, V]{Options: o, windows: make(map[[16]byte]*window[P, V]), senders: make(map[[16]byte]int)}
}

// Offer takes a push. It never blocks.
func (c *Coalescer[P, V]) Offer(p Push[P, V]) {
	c.do(func() {
		w, f := c.windows[p.Device], &flight[P, V]{Push: p}
		switch {
		case c.closed:
			c.answer(f, c.Busy)
		case w == nil:
			c.begin(f)
		case (w.held == nil || c.atOnce(p)) && w.repeats(p, time.Now()):
			c.join(w.last, p)
		case p.Urgency > w.urgency, c.atOnce(p):
			c.replace(w, f)
			c.launch(w, f)
		default:
			c.hold(w, f)
		}
	})
}

// atOnce reports whether a push is never held.
func (c *Coalescer[P, V]) atOnce(p Push[P, V]) bool { return c.AtOnce > 0 && p.Urgency >= c.AtOnce }

// SetWindow changes how long windows last that begin from now on.
func (c *Coalescer[P, V]) SetWindow(window time.Duration) { c.do(func() { c.Window = window }) }

// do makes a change, and then gives the answers that it made due.
func (c *Coalescer[P, V]) do(change func()) {
	c.mu.Lock()
	change()
	due := c.due
	c.due = nil
	c.mu.Unlock()
	for _, answer := range due {
		answer()
	}
}

// answer makes the answers to all pushes due that a flight stands for.
func (c *Coalescer[P, V]) answer(f *flight[P, V], verdict V) {
	own, others := f.Answer, f.others
	c.held -= f.waiting
	f.Answer, f.others, f.waiting = nil, nil, 0
	c.due = append(c.due, func() {
		own(verdict, false)
		for _, other := range others {
			other(verdict, true)
		}
	})
}

// join has a push wait for the verdict about another one.
func (c *Coalescer[P, V]) join(f *flight[P, V], p Push[P, V]) {
	switch {
	case f.landed:
		c.due = append(c.due, func() { p.Answer(f.verdict, true) })
	case len(f.others) < maxAnswers && c.held+p.AnswerSize <= maxHeld:
		f.others = append(f.others, p.Answer)
		f.waiting += p.AnswerSize
		c.held += p.AnswerSize
	default:
		c.due = append(c.due, func() { p.Answer(c.Busy, true) })
	}
}

// begin begins a window with a push, if there is room for one.
func (c *Coalescer[P, V]) begin(f *flight[P, V]) {
	w := new(window[P, V])
	if c.launch(w, f) && c.Window > 0 && len(c.windows) < maxWindows {
		c.windows[f.Device] = w
		w.end = time.AfterFunc(c.Window, func() { c.do(func() { c.end(f.Device, w) }) })
	}
}

// launch sends a push on its way, and reports whether there was room for it.
func (c *Coalescer[P, V]) launch(w *window[P, V], f *flight[P, V]) bool {
	if c.onTheWay >= maxOnTheirWay || c.senders[f.Sender] >= maxOfSender {
		c.answer(f, c.Busy)
		return false
	}
	c.onTheWay++
	c.senders[f.Sender]++
	f.began = time.Now()
	w.last, w.urgency = f, max(w.urgency, f.Urgency)
	value := f.Value
	c.flights.Go(func() {
		verdict := c.Deliver(value)
		c.do(func() {
			c.onTheWay--
			if c.senders[f.Sender]--; c.senders[f.Sender] == 0 {
				delete(c.senders, f.Sender)
			}
			c.land(f, verdict)
		})
	})
	return true
}

// land ends a flight with its verdict.
func (c *Coalescer[P, V]) land(f *flight[P, V], verdict V) {
	var none P
	f.Value, f.landed, f.verdict = none, true, verdict // the window may last longer, and needs no more of it
	c.answer(f, verdict)
	if w := c.windows[f.Device]; w != nil && w.last == f && c.Final(verdict) {
		w.end.Stop()
		c.end(f.Device, w)
	}
}

// end ends a window, and sends its held push on its way.
func (c *Coalescer[P, V]) end(device [16]byte, w *window[P, V]) {
	if c.windows[device] != w {
		return
	}
	delete(c.windows, device)
	if held := c.release(w); held != nil {
		c.begin(held)
	}
}

// hold holds a push until the window ends. If there is no room, the push goes out at once.
func (c *Coalescer[P, V]) hold(w *window[P, V], f *flight[P, V]) {
	if w.held != nil && w.held.Urgency > f.Urgency {
		c.join(w.held, f.Push)
		return
	}
	c.replace(w, f)
	if c.held+f.Size > maxHeld {
		c.launch(w, f)
		return
	}
	c.held += f.Size
	w.held = f
}

// replace has a push stand for the held one, if there is one.
func (c *Coalescer[P, V]) replace(w *window[P, V], f *flight[P, V]) {
	if held := c.release(w); held != nil {
		f.others, f.waiting = held.others, held.waiting
		c.join(f, held.Push)
	}
}

// release returns the held push, which is no longer held; nil if there is none.
func (c *Coalescer[P, V]) release(w *window[P, V]) *flight[P, V] {
	held := w.held
	if held != nil {
		c.held -= held.Size
		w.held = nil
	}
	return held
}

// repeats reports whether a push is the same as the one that went out last.
func (w *window[P, V]) repeats(p Push[P, V], now time.Time) bool {
	return p.Shows == w.last.Shows && p.Urgency <= w.last.Urgency && now.Sub(w.last.began) < Twin
}

// Close sends all held pushes on their way, and waits until all pushes have their verdict, or until the context is done. If there is no
// time left for a held push, it is answered with [Options.Busy], as is every later push.
func (c *Coalescer[P, V]) Close(ctx context.Context) {
	var held []*flight[P, V]
	c.do(func() {
		c.closed = true
		for device, w := range c.windows {
			w.end.Stop()
			delete(c.windows, device)
			if f := c.release(w); f != nil {
				held = append(held, f)
			}
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.flush(ctx, held)
		c.flights.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// flush delivers the pushes that were held.
func (c *Coalescer[P, V]) flush(ctx context.Context, held []*flight[P, V]) {
	var group errgroup.Group
	group.SetLimit(maxOnTheirWay)
	for _, f := range held {
		group.Go(func() error {
			verdict := c.Busy
			if ctx.Err() == nil {
				verdict = c.Deliver(f.Value)
			}
			c.do(func() { c.land(f, verdict) })
			return nil
		})
	}
	_ = group.Wait()
}
