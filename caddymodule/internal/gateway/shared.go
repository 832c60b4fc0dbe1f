package gateway

import (
	"context"
	"sync"
	"time"
)

// Shared is what outlives a configuration: the pushes in flight, the events delivered, who took pushes, what is known of
// hosts, the fuses, and the journal.
// Every gateway of the process shares one.
type Shared struct {
	mu        sync.Mutex
	flights   map[eventKey]*flight
	delivered deliveredSet
	hosts     map[string]*hosts // by app

	// Fuses are the apps' fuses.
	Fuses *Fuses

	journal  *journal
	proven   proven
	suspects suspects
	doubts   doubts
	refusals refusals
	tries    *tries
	inHand   *inHand
	closing  chan struct{}

	// running counts the flights under way by app, and idle tells that there is none. A WaitGroup would not do: a request that is still
	// served when the process ends may start one while another goroutine waits.
	running map[string]int
	idle    *sync.Cond
}

// NewShared makes the state that gateways share.
func NewShared() *Shared {
	s := &Shared{
		flights: make(map[eventKey]*flight), hosts: make(map[string]*hosts), Fuses: newFuses(), journal: newJournal(),
		tries: newTries(), inHand: newInHand(), closing: make(chan struct{}), running: make(map[string]int),
	}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// Close ends what goes on in the background for longer than a flight. It is called once.
func (s *Shared) Close() { close(s.closing) }

// hostsOf is what is known of the hosts that an app's pushes go to.
func (s *Shared) hostsOf(app string) *hosts {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts[app] == nil {
		s.hosts[app] = newHosts()
	}
	return s.hosts[app]
}

// Drain waits until no attempt is running, or ctx is done.
func (s *Shared) Drain(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.idle.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.running) > 0 && ctx.Err() == nil {
		s.idle.Wait()
	}
}

func (s *Shared) began(app *App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[app.Pattern]++
}

func (s *Shared) ended(app *App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[app.Pattern]--; s.running[app.Pattern] == 0 {
		delete(s.running, app.Pattern)
	}
	if len(s.running) == 0 {
		s.idle.Broadcast()
	}
}

// join says what to do about an event for a device: nothing, as it was delivered; wait for the flight that delivers it already; or
// deliver it with the flight returned as its leader, which carries c.
func (s *Shared) join(c cargo, window time.Duration, now time.Time) (f *flight, leader, delivered bool) {
	k := c.event
	if k == (eventKey{}) {
		return newFlight(c), true, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered.age(window, now)
	if s.delivered.has(k) {
		return nil, false, true
	}
	if f, ok := s.flights[k]; ok {
		return f, false, false
	}
	f = newFlight(c)
	s.flights[k] = f
	return f, true, false
}

// remember notes that an event needs no further delivery.
func (s *Shared) remember(k eventKey, now time.Time) {
	if k == (eventKey{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered.add(k, now)
}

// leave takes a flight that has landed out of the table. What it delivered was remembered before.
func (s *Shared) leave(k eventKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, k)
}
