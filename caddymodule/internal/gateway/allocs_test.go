package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/allocstest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// budget is how often the engine allocates memory for a request with one device, by the device's result. Unlike times, counts are the
// same on each machine. If you need more, raise a number here and say what for. Every request has its deliveries, with the keys and
// marks for the rejected store (1).
var budget = map[Result]float64{
	// And the answer's list, and the pushkey in it.
	RejectedBefore: 3,
	// And what would be sent: the reduced notification, what the request's devices share of it, and the push's ID.
	Duplicate: 4,
	// And this test's name of the event; the flight, and its channel landed (2); the deadline of the attempt (5); the timer for a Push
	// that never returns (3).
	Delivered: 15,
}

// Not parallel: the count is for the whole process.
func TestTheHotPathStaysWithinItsBudgetOfAllocations(t *testing.T) {
	r := newQuietRig(t)
	for _, w := range ways(t, r) {
		t.Run(w.result.String(), func(t *testing.T) {
			allocstest.Within(t, budget[w.result], func() { w.notify(t, r) })
		})
	}
}

// Not parallel either.
func TestToRouteAndToNameAnEventAllocatesNothing(t *testing.T) {
	r := newQuietRig(t)
	d := mustDecode(t, synapseBody).Devices[0]
	for name, step := range map[string]func(){
		"route":     func() { r.Router.Route(d.AppID) },
		"event key": func() { keyOfEvent("$event", &d) },
	} {
		if got := testing.AllocsPerRun(100, step); got > 0 {
			t.Errorf("%s: %v allocations, want none", name, got)
		}
	}
}

// Not parallel either.
func TestV23_CountingAPushAllocatesNothing(t *testing.T) {
	r := newQuietRig(t)
	app, minute := r.Router.Apps()[0], int64(0)
	if got := testing.AllocsPerRun(500, func() {
		app.history.count(kindUnauthorized, 1, minute/3) // each third push begins a minute
		minute++
	}); got > 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

// Not parallel either. Both decoders read the same, but only encoding/json allocates that much.
func TestMembersAreDecodedByTheGatewayBeforeAndAfterTheOutbox(t *testing.T) {
	var kept *providers.Notification
	synctest.Test(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r := newRig(t, appFor("app", p))
		r.retry(r.Router.Apps()[0], outbox.Leased{Entry: outbox.Entry{
			ID: "id", App: "app", Push: []byte(keptEarlier), Accepted: time.Now(), Expires: time.Now().Add(time.Hour),
		}})
		kept = p.asked()[0].Notification
	})
	for name, n := range map[string]*providers.Notification{"of a request": mustDecode(t, synapseBody).Notification, "of the outbox": kept} {
		count := func(n *providers.Notification) float64 { return testing.AllocsPerRun(100, func() { n.Members() }) }
		if got, slow := count(n), count(&providers.Notification{Body: n.Body, Counts: n.Counts}); got == 0 || got > slow*2/3 {
			t.Errorf("%s: %v allocations, and %v by encoding/json", name, got, slow)
		}
	}
}
