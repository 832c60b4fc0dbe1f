package gateway

import (
	"context"
	"sync"
	"time"
)

// Shared is what outlives a configuration: the pushes in flight, the delivered events, the devices that were delivered to, what is
// known about hosts, the fuses, and the journal. All gateways of the process share one.
type Shared struct {
	mu        sync.Mutex
	flights   map[eventKey]*flight
	delivered deliveredSet
	hosts     map[string]*hosts // by app

	// Since is when this process began to remember.
	Since time.Time
	// minute0 is when the minute of Since began.
	minute0 time.Time
	// Fuses are the apps' fuses.
	Fuses *Fuses
	// Probes are the probes of homeservers.
	Probes *Probes

	journal  *journal
	proven   proven
	suspects suspects
	doubts   doubts
	refusals refusals
	tries    *tries
	inHand   *inHand
	crew     crew      // runs the flights
	timers   sync.Pool // of *time.Timer, which are stopped
	closing  chan struct{}

	// running counts the flights under way, and idle signals that there are none. It is not a WaitGroup, because a request that is still
	// served when the process ends may start a flight while another goroutine waits.
	running int
	idle    *sync.Cond
}

// NewShared returns the state that gateways share.
func NewShared() *Shared {
	now := time.Now()
	s := &Shared{
		Since: now, minute0: minuteOf(now),
		flights: make(map[eventKey]*flight), hosts: make(map[string]*hosts), Fuses: newFuses(), Probes: newProbes(),
		journal: newJournal(), tries: newTries(), inHand: newInHand(), closing: make(chan struct{}),
	}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// Close ends background work that outlasts flights. It is called once.
func (s *Shared) Close() {
	close(s.closing)
	s.crew.close()
	s.Probes.close()
}

// hostsOf returns the hosts of an app.
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
	for s.running > 0 && ctx.Err() == nil {
		s.idle.Wait()
	}
}

func (s *Shared) began() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running++
}

func (s *Shared) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 {
		s.idle.Broadcast()
	}
}

// timer returns a timer that fires after d. It is given back with stop.
func (s *Shared) timer(d time.Duration) *time.Timer {
	if t, ok := s.timers.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

// stop gives a timer back. Nothing is received from a timer that was stopped, even if it had fired.
func (s *Shared) stop(t *time.Timer) {
	t.Stop()
	s.timers.Put(t)
}

// join reports how to handle an event for a device. If it was delivered, there is nothing to do. If a flight is already delivering it,
// wait for that one. Otherwise deliver it: the returned flight carries c, is under way, and the caller is its leader.
func (s *Shared) join(c cargo, window time.Duration, now time.Time) (f *flight, leader, delivered bool) {
	k := c.event
	s.mu.Lock()
	defer s.mu.Unlock()
	if k == (eventKey{}) {
		s.running++
		return newFlight(c), true, false
	}
	s.delivered.age(window, now)
	if s.delivered.has(k) {
		return nil, false, true
	}
	if f, ok := s.flights[k]; ok {
		return f, false, false
	}
	f = newFlight(c)
	s.flights[k] = f
	s.running++
	return f, true, false
}

// remember notes that an event needs no further delivery. It returns how many others it had to forget for that.
func (s *Shared) remember(k eventKey, now time.Time) (forgotten int) {
	if k == (eventKey{}) {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delivered.add(k, now)
}

// leave removes a landed flight from the table. If it delivered the event, that was remembered before.
func (s *Shared) leave(k eventKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, k)
}
