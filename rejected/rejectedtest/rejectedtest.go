// Package rejectedtest is the conformance suite for stores of rejected pushkeys. A store's own test is
//
//	func TestConformance(t *testing.T) {
//		rejectedtest.Run(t, rejectedtest.Harness{New: newStore})
//	}
//
// The subtests run in parallel, each with a separate store; run them with -race. Those of [rejected.Lister], [rejected.Sizer],
// [rejected.Witness] and [rejected.Migrator] are skipped if the store does not implement them.
package rejectedtest

import (
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Harness connects the suite to a store. All fields except New are optional: what is nil is not tested.
type Harness struct {
	// New returns an open, empty store that reads the time only from now. It registers its cleanup with t.
	New func(t *testing.T, now func() time.Time) rejected.Store

	// Reopen ends s as an orderly end of the process would, and returns a store with the same data and the same clock. It is nil if the store
	// forgets everything with the process.
	Reopen func(t *testing.T, s rejected.Store) rejected.Store

	// Unopened returns a store that was provisioned but not opened. It is nil if the store is not a rejected.Opener.
	Unopened func(t *testing.T) rejected.Store

	// Close gives up s, as the last configuration that uses it does when it is unloaded. It is nil if there is nothing to close.
	Close func(t *testing.T, s rejected.Store)

	// Elapsed is called after the clock was set forward by d: the store does its background work for that time. It is nil if the store only
	// reads the clock.
	Elapsed func(t *testing.T, s rejected.Store, d time.Duration)

	// Stalling is New. It also returns a function that makes the store's calls stall, as a disk or a network might, until goOn is called. It
	// is nil if the calls wait for nothing.
	Stalling func(t *testing.T, now func() time.Time) (s rejected.Store, stall func() (goOn func()))

	// Expire is how long the stores of New keep a record that is not seen: at least a day; rejected.DefaultExpire if zero.
	Expire time.Duration
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Expire == 0 {
		h.Expire = rejected.DefaultExpire
	}
	for _, tt := range []struct {
		name string
		skip bool
		run  func(t *testing.T, h Harness)
	}{
		{"an unknown key has the zero mark and no record", false, unknownKey},
		{"a rejected key is rejected on every request", false, everyRequest},
		{"a verdict concerns only its key", false, scope},
		{"a newer pushkey_ts is delivered, and the record stays", false, newerPushkeyTS},
		{"a pushkey without pushkey_ts is probed", false, probing},
		{"a pushkey_ts from the future condemns nothing beyond now", false, futurePushkeyTS},
		{"a target's verdict concerns no other target of the pushkey", false, targets},
		{"all targets of a pushkey are found by its family", false, listFamily},
		{"a change is noted once, whatever its name", false, migrate},
		{"a time of death condemns what registered before it", false, timeOfDeath},
		{"verdicts merge into one record", false, merge},
		{"a forgotten record is gone", false, forget},
		{"marks come in the order of the keys", false, order},
		{"marks of an earlier lookup are overwritten", false, overwrite},
		{"a lookup of no keys is not an error", false, noKeys},
		{"a record is last seen when it was last looked up", false, lastSeen},
		{"a record that nobody asks for expires", false, expiry},
		{"a record that is asked for stays", false, seenStays},
		{"a verdict after the record expired starts a new one", false, freshAfterExpiry},
		{"it is safe for concurrent use", false, concurrency},
		{"nothing is listed of a store without records", false, listNothing},
		{"pages have every record once", false, listPages},
		{"a prefix is one of any number of digits", false, listPrefix},
		{"a wrong query is an error", false, listWrongly},
		{"what is there from the first page to the last is listed, whatever comes and goes", false, listMeanwhile},
		{"List and Get return the same", false, listRecords},
		{"a record that expired is not listed", false, listExpired},
		{"that a record is listed does not count as having seen it", false, listUnseen},
		{"a listing is safe for concurrent use", false, listConcurrently},
		{"a suspected key is not rejected, and its record has no verdict", false, suspected},
		{"looks add up, and those under way together are one", false, looks},
		{"a suspicion stands beside verdicts", false, suspectedBesideVerdicts},
		{"a verdict ends a suspicion", false, verdictEndsSuspicion},
		{"an acquittal ends a suspicion, and nothing else", false, acquittal},
		{"a suspicion that nobody asks for expires", false, suspicionExpires},
		{"a look starts a new one after the record expired", false, suspicionAfterExpiry},
		{"suspicions are listed and counted", false, suspicionListed},
		{"suspicions are safe for concurrent use", false, suspectConcurrently},
		{"a call whose context is done returns", false, done},
		{"a witness knows the newest delivery of a host", false, witness},
		{"records are counted", false, count},
		{"before it is opened it answers ErrNotOpen", h.Unopened == nil, unopened},
		{"after it is closed it answers ErrNotOpen", h.Close == nil, closed},
		{"closing breaks no operation in flight", h.Close == nil, closeInFlight},
		{"records outlive a restart", h.Reopen == nil, restart},
		{"records are listed and counted after a restart", h.Reopen == nil, listAfterRestart},
		{"a forgotten record stays gone after a restart", h.Reopen == nil, restartAfterForget},
		{"that a record was seen outlives a restart", h.Reopen == nil, restartAfterLookup},
		{"a record that expired meanwhile is gone after a restart", h.Reopen == nil, restartAfterExpiry},
		{"a suspicion, and that it ended, outlives a restart", h.Reopen == nil, restartWithSuspicion},
		{"a change that was noted stays noted after a restart", h.Reopen == nil, restartAfterMigration},
		{"a call that the store keeps waiting ends with its context", h.Stalling == nil, stalled},
	} {
		if tt.skip {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, h)
		})
	}
}

// clock is the time of one subtest.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
