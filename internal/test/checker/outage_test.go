package checker

import (
	"testing"
	"time"
)

// down returns an outage between two times.
func down(from, until float64, devices ...string) Outage {
	return Outage{From: at(from), Until: at(until), Devices: devices}
}

func TestAnOutageExplainsRepetitionsAndOrderButNoLoss(t *testing.T) {
	t.Parallel()
	twice := []Push{taken(30, "1"), taken(40, "1")}
	inOrder := []Request{sent(0, "1", 200), sent(1, "2", 200)}
	swapped := []Push{taken(5, "2"), taken(6, "1")}
	for _, tt := range []struct {
		name     string
		requests []Request
		pushes   []Push
		outages  []Outage
		want     []Kind
	}{
		{name: "taken, down, taken", requests: inOrder[:1], pushes: twice, outages: []Outage{down(32, 33)}},
		{name: "down, taken soon, taken", requests: inOrder[:1], pushes: twice, outages: []Outage{down(3, 20.5)}},
		{name: "down, taken much later, taken", requests: inOrder[:1], pushes: twice, outages: []Outage{down(3, 19.5)}, want: []Kind{Doubled}},
		{name: "taken, taken, down", requests: inOrder[:1], pushes: twice, outages: []Outage{down(41, 50)}, want: []Kind{Doubled}},
		{name: "the phone's store", requests: inOrder[:1], pushes: twice, outages: []Outage{down(32, 33, "phone")}},
		{name: "another device's store", requests: inOrder[:1], pushes: twice, outages: []Outage{down(32, 33, "tablet")}, want: []Kind{Doubled}},

		{name: "out of order, down in between", requests: inOrder, pushes: swapped, outages: []Outage{down(2, 4)}},
		{name: "out of order, down later", requests: inOrder, pushes: swapped, outages: []Outage{down(7, 9)}, want: []Kind{Reordered}},

		{name: "never taken", requests: inOrder[:1], outages: []Outage{down(0, 100)}, want: []Kind{Lost}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, Logs{Requests: tt.requests, Pushes: tt.pushes, Outages: tt.outages}, tt.want...)
		})
	}
}

func TestAPushThatNothingHoldsUpMustNotWait(t *testing.T) {
	t.Parallel()
	one := []Request{sent(0, "1", 200)}
	for _, tt := range []struct {
		name     string
		requests []Request
		pushes   []Push
		kills    []Kill
		outages  []Outage
		want     []Kind
	}{
		{name: "at once", pushes: []Push{taken(1, "1")}},
		{name: "in time", pushes: []Push{taken(60, "1")}},
		{name: "late", pushes: []Push{taken(61, "1")}, want: []Kind{Starved}},
		{name: "late, not yet accepted", requests: []Request{sent(0, "1", 503), sent(30, "1", 200)}, pushes: []Push{taken(61, "1")}},
		{name: "after a kill", pushes: []Push{taken(61, "1")}, kills: []Kill{{Time: at(2)}}},
		{name: "late after a kill", pushes: []Push{taken(63, "1")}, kills: []Kill{{Time: at(2)}}, want: []Kind{Starved}},
		{name: "before a kill", pushes: []Push{taken(61, "1")}, kills: []Kill{{Time: at(62)}}, want: []Kind{Starved}},
		{name: "after an outage", pushes: []Push{taken(150, "1")}, outages: []Outage{down(10, 100)}},
		{name: "late after an outage", pushes: []Push{taken(161, "1")}, outages: []Outage{down(10, 100)}, want: []Kind{Starved}},
		{name: "before the end of an outage", pushes: []Push{taken(90, "1")}, outages: []Outage{down(10, 100)}},
		{name: "in the outage of another store", pushes: []Push{taken(90, "1")}, outages: []Outage{down(10, 100, "tablet")}, want: []Kind{Starved}},
		{name: "after the push service refused it", pushes: []Push{refused(50, "1"), taken(350, "1")}},
		{name: "late after the push service refused it", pushes: []Push{refused(50, "1"), taken(351, "1")}, want: []Kind{Starved}},
		{
			name: "after the push service refused another one of the device", requests: []Request{sent(0, "1", 200), sent(1, "2", 200)},
			pushes: []Push{refused(50, "1"), taken(345, "1"), taken(346, "2")},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.requests == nil {
				tt.requests = one
			}
			expect(t, Logs{
				Requests: tt.requests, Pushes: tt.pushes, Kills: tt.kills, Outages: tt.outages,
				Patience: Patience{Any: time.Minute, Retry: 5 * time.Minute},
			}, tt.want...)
		})
	}
}

// expect compares the kinds of the findings.
func expect(t *testing.T, l Logs, want ...Kind) {
	t.Helper()
	got := l.Check().Findings
	same := len(got) == len(want)
	for i := range want {
		same = same && got[i].Kind == want[i]
	}
	if !same {
		t.Errorf("found %v, want %v", got, want)
	}
}
