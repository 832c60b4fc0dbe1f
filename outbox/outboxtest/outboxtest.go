// Package outboxtest is the conformance suite for outboxes that keep pushes. A box's own test is
//
//	func TestConformance(t *testing.T) {
//		outboxtest.Run(t, outboxtest.Harness{New: newBox, Reopen: reopen})
//	}
//
// The subtests run in parallel, each with a separate queue; run them with -race.
package outboxtest

import (
	"testing"
	"testing/synctest"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// Harness connects the suite to a queue.
type Harness struct {
	// New returns an open, empty queue, and registers its cleanup with t. All leases have ended by the time the cleanup runs. If a box is
	// divided into parts and the bounds limit an app, they are those of a part, and all devices are in that part.
	New func(t *testing.T, b Bounds) outbox.Queue

	// Reopen ends q as an orderly end of the process would, and returns a queue with the same entries.
	Reopen func(t *testing.T, q outbox.Queue) outbox.Queue

	// FakeTime means that the queue runs in a bubble of testing/synctest: its only clock is package time, and it waits for nothing outside the
	// process. Without it, the suite takes more than a minute, or a few seconds with -short.
	FakeTime bool

	// Quick skips the tests that take as long as a lease, as -short does. It is for further servers of a kind with which the queue passes all.
	Quick bool
}

// Bounds are the bounds of a queue; 0 means more than any test accepts.
type Bounds struct {
	PerApp, PerDevice int
	Size              int64
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, tt := range []struct {
		name string
		run  func(f *fixture)
	}{
		{"an entry is leased as it was accepted", whole},
		{"a device is leased once at a time, its oldest entry first", oneAtATime},
		{"devices are leased side by side", sideBySide},
		{"no more devices are leased than asked for", atMost},
		{"apps do not see each other's entries", apps},
		{"settling an entry that is gone is not an error", settleUnknown},
		{"releasing an entry that is gone is not an error", releaseUnknown},
		{"a released device is due at the given time, and counts its attempts", release},
		{"a release without an attempt does not count one", released},
		{"settling an entry resets the count of attempts", attemptsReset},
		{"a lease lapses", lapse},
		{"a lease waits for an entry", leaseWaits},
		{"a lease ends with its context", leaseEnds},
		{"a device waits as long as it has entries", waiting},
		{"a first entry is due when it says", due},
		{"a later entry is due after those before it, whatever it says", dueBehind},

		{"a running entry is leased when it was released", runningReleased},
		{"a running entry is leased when its attempt cannot run any more", runningLapsed},
		{"a running entry that is settled makes way for the next", runningSettled},
		{"a running entry behind another is not leased while it runs", runningBehind},
		{"a running entry is not leased when those before it go", runningLeft},

		{"a badge update removes those that wait", newestBadge},
		{"a badge update concerns only its device", badgeScope},
		{"a badge update that is leased stays", badgeLeased},
		{"a badge update that runs stays", badgeRunning},
		{"a badge update is due when the one was that it removes", badgeDue},

		{"an entry takes the place of those about the same, and of no others", replaced},
		{"an entry under way stays when one about the same comes", replacedUnderWay},

		{"an entry that was settled first has no effect when it is accepted", settledFirst},
		{"an entry that was settled does not come back when it is accepted again", settledOnce},
		{"an entry that was discarded first has no effect when it is accepted", discardedFirst},
		{"an entry that is accepted again is there once, and due as the newer call says", acceptedAgain},
		{"an entry that is accepted again takes no room", acceptedAgainFull},
		{"an entry that many accept at once is there once", acceptedAtOnce},
		{"an event that is accepted again is there once", acceptedEvent},

		{"an entry whose Accept came too late is in for sure when it is accepted again", acceptOver},
		{"calls end with their context", callsOver},
		{"an entry whose Settle came too late does not come back", settleOver},
		{"what many accept and settle while their contexts end is there once, in order", acceptsCutOff},

		{"entries go with the registration they are for", discard},
		{"a leased entry that goes ends its lease when it is settled", discardLeased},
		{"roused devices are due, except leased ones", rouse},

		{"roused devices of a host are due, except leased ones", rouseHost},
		{"no more devices of a host are roused than asked for", rouseHostMost},
		{"a device is its oldest entry's host's", rouseHostOldest},
		{"a device is another host's when its oldest entry was dropped", rouseHostDropped},
		{"devices are their hosts' after a restart", rouseHostRestart},

		{"an app is full", fullApp},
		{"a device is full", fullDevice},
		{"what is gone makes room", room},
		{"bounds hold for those who come at once", boundsAtOnce},

		{"the lowest standing makes way, of the group that has most, the newest first", makesWay},
		{"the group with most bytes makes way when bytes are short", makesWayBySize},
		{"a group has three quarters of the room at most", groupShare},
		{"a group has three quarters of the bytes at most", groupShareOfSize},
		{"strangers have half of the room at most", strangersShare},
		{"strangers have half of the bytes at most", strangersShareOfSize},
		{"a group that has more makes way for one of the same standing", rivals},
		{"however many groups are proven, another one finds room", provenShare},
		{"what is proven makes no way", provenStay},
		{"an entry under way makes no way", underWayStays},
		{"an entry that ended its attempt makes way", endedMakesWay},
		{"nothing makes way if that is not enough", notEnough},
		{"no more than 64 make way for one", mostDisplaced},
		{"entries without a group make way for a higher standing only", ungrouped},
		{"what made way does not come back", displacedOnce},
		{"an older entry of the same device makes way", ownDevice},
		{"shares and standings outlive a restart", roomRestart},
		{"what is gone makes room in the shares", shareRoom},
		{"what is replaced makes room in the shares", shareReplaced},
		{"an entry that displaces is accepted again", displacedAgain},
		{"each entry makes way, stays, or is settled once, by many at once", roomAtOnce},
		{"room is used up, but not by strangers", roomFull},
		{"a full device displaces nothing", deviceFull},

		{"each entry is settled once, in order, by many at once", concurrency},
		{"badge updates at once stall no device, and the newest arrives", badgesAtOnce},

		{"the depth of an app counts its pending entries, after whatever happened", depths},
		{"the oldest entry is the one that expires first", oldest},
		{"a refused entry counts for nothing", depthOfRefused},
		{"an entry is listed as it was accepted", listed},
		{"a listed entry shows if it runs, and when its device is tried", listedState},
		{"pages list each entry once, a device's in their order", pages},
		{"what stays is listed, whatever comes and goes meanwhile", pagesChanging},
		{"a page is bounded, whatever is asked for", pageBound},
		{"a wrong cursor is an error", cursors},

		{"a roused device is due, except a leased one", rouseDevice},
		{"a device that is due and roused keeps its place", rouseDeviceDue},
		{"a roused device is leased by who waits for it", rouseDeviceWakes},

		{"one entry of a device is dropped", dropOne},
		{"all entries of a device are dropped, and of no other one", dropAll},
		{"an entry at which an attempt is under way is not dropped", dropRunning},
		{"an entry whose attempt cannot run any more is dropped", dropLapsed},
		{"a device is due as before when an entry of it was dropped", dropDue},
		{"what is dropped makes room", dropRoom},
		{"each entry is dropped or settled, and not both, by many at once", dropsAtOnce},

		{"entries outlive a restart, in order", restart},
		{"delivered events are recalled after a restart, until their time", ledger},
		{"the event of an accepted entry is recalled, settled or not", ledgerOfEntries},

		{"who is vouched for is remembered over a restart, until their time", vouched},
		{"of two times that one is vouched for, the later counts", vouchedAgain},
		{"many that are vouched for are all remembered", vouchedMany},
		{"vouches are not events, and events are not vouches", vouchedApart},
		{"a box that was closed vouches for nobody", vouchedClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if !h.FakeTime {
				tt.run(newFixture(t, h, Bounds{}))
				return
			}
			synctest.Test(t, func(t *testing.T) { tt.run(newFixture(t, h, Bounds{})) })
		})
	}
}
