package gateway

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	"github.com/matrix-push/caddy-matrix-push/outbox/off"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// newQuietRig returns a gateway with the usual settings, whose fakes remember nothing: all costs are its own.
func newQuietRig(t testing.TB) *rig {
	t.Helper()
	r := newRig(t, appFor("org.example.app.ios.*", quiet{always(providers.Delivered())}))
	r.Observer = deaf{}
	r.use(new(off.Box))
	r.Fuse = FuseOptions{Share: 0.5, Window: 10 * time.Minute}
	return r
}

// way is a path through the engine for a request with a single device.
type way struct {
	result  Result
	request func() *Request
}

// eventNumbers are for events that no earlier request had.
var eventNumbers atomic.Int64

// ways returns those of the hot path.
func ways(t testing.TB, r *rig) []way {
	t.Helper()
	eventNumbers.Add(100) // strings of smaller numbers are not allocated
	fresh, duplicate, dead := mustDecode(t, synapseBody), mustDecode(t, synapseBody), mustDecode(t, synapseBody)
	r.Notify(duplicate, providers.Site{}, everything)
	d := &dead.Devices[0]
	d.Pushkey = "dead"
	if err := r.store.Reject(t.Context(), rejected.KeyOf(d.AppID, d.Pushkey), rejected.Verdict{PushkeyTS: d.PushkeyTS, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return []way{
		{Delivered, func() *Request {
			fresh.event = strconv.FormatInt(eventNumbers.Add(1), 10)
			return fresh
		}},
		{Duplicate, func() *Request { return duplicate }},
		{RejectedBefore, func() *Request { return dead }},
	}
}

// notify sends the gateway a request that goes this way.
func (w way) notify(t testing.TB, r *rig) {
	if a := r.Notify(w.request(), providers.Site{}, everything); a.Results[w.result] != 1 {
		t.Fatalf("not %s: %v", w.result, a.Results)
	}
}

// BenchmarkHotPath measures the engine itself for a decoded request, by the result of its one device.
func BenchmarkHotPath(b *testing.B) {
	r := newQuietRig(b)
	for _, w := range ways(b, r) {
		b.Run(w.result.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.notify(b, r)
			}
		})
	}
}

// BenchmarkHotPathCrowded does the same for a delivered device while many requests are under way, which share locks.
func BenchmarkHotPathCrowded(b *testing.B) {
	r := newQuietRig(b)
	decoded := mustDecode(b, synapseBody)
	benchtest.Run(b, func() error {
		request := *decoded
		request.event = strconv.FormatInt(eventNumbers.Add(1), 10)
		if a := r.Notify(&request, providers.Site{}, everything); a.Results[Delivered] != 1 {
			return fmt.Errorf("not delivered: %v", a.Results)
		}
		return nil
	})
}
