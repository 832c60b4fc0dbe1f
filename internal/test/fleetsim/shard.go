package fleetsim

import "time"

// shard is the servers of a shard: a primary, and a replica that has the primary's changes a little later.
type shard struct {
	n     int
	state *state // of the primary
	// replica is behind. behind has the changes that it does not have yet, and arrives is when it has the latest of them.
	replica *state
	behind  []change
	arrives time.Duration
	// The primary has one thread: it is busy until then. cost is how long a call takes it, and lag how long a change takes to the replica.
	busy      time.Duration
	cost, lag time.Duration
	// down means that there is no primary. era counts the primaries: a call to an earlier one has no answer. stalled is until when the
	// replica gets nothing.
	down    bool
	era     int
	stalled time.Duration
	// lost has the events that were accepted, and that a failover lost.
	lost map[eventID]bool
	work time.Duration // of the primary's thread, in total
}

// change is a call. It changes the primary, and later the replica.
type change struct {
	do      func(s *state, now time.Duration)
	accepts eventID // 0 if it accepts nothing
	reads   bool    // it changes nothing
	// made is when it was made at the primary, and arrives when it reaches the replica.
	made, arrives time.Duration
}

func newShard(n int, flaw Flaw) *shard {
	return &shard{
		n: n, state: newState(flaw), replica: newState(flaw), cost: usualCost, lag: usualLag, lost: make(map[eventID]bool),
	}
}

const (
	usualCost = 50 * time.Microsecond
	usualLag  = 2 * time.Millisecond
)

// run makes a change at the primary, and returns when the replica has it.
func (s *shard) run(now time.Duration, c change) (confirmed time.Duration) {
	c.do(s.state, now)
	if c.reads {
		return now
	}
	s.arrives = max(s.arrives, s.stalled, now+s.lag)
	c.arrives, c.made = s.arrives, now
	s.behind = append(s.behind, c)
	if len(s.behind) > 1000 {
		s.replicate(now)
	}
	return c.arrives
}

// replicate makes the changes that have arrived at the replica.
func (s *shard) replicate(now time.Duration) {
	n := 0
	for ; n < len(s.behind) && s.behind[n].arrives <= now; n++ {
		s.behind[n].do(s.replica, s.behind[n].made)
	}
	s.behind = append(s.behind[:0], s.behind[n:]...)
}

// end ends the primary.
func (s *shard) end() { s.down, s.era = true, s.era+1 }

// restart brings the primary back, with all its data.
func (s *shard) restart() { s.down = false }

// promote makes the replica the primary, with the changes that arrived before the primary ended.
func (s *shard) promote(ended time.Duration) {
	s.replicate(ended)
	for _, c := range s.behind {
		if c.accepts != 0 {
			s.lost[c.accepts] = true
		}
	}
	s.state, s.behind, s.arrives = s.replica, nil, 0
	s.replica = s.state.clone()
	s.down = false
}
