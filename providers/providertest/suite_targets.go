package providertest

import (
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// testTargets tests who else can answer for a device: see [providers.Identifier].
func (s Suite) testTargets(t *testing.T) {
	t.Parallel()
	t.Run("pushes that go elsewhere are another device's", s.testElsewhere)
	b := s.start(t, answers(500, nil, ""))
	p, ok := b.provider.(providers.Identifier)
	if !ok {
		return
	}
	t.Cleanup(func() {
		if n := b.server.Connections(); n != 0 {
			t.Errorf("%d connections were made to the push service", n)
		}
	})
	t.Run("nothing makes it panic, and it says the same again", func(t *testing.T) {
		t.Parallel()
		for _, d := range append(strangeDevices(b.push.Device), *b.push.Device) {
			b.target(t, p, &d)
		}
	})
	t.Run("it depends only on the pushkey and the data", func(t *testing.T) {
		t.Parallel()
		d := *copyOf(b.push).Device
		d.PushkeyTS, d.Tweaks = d.PushkeyTS+1000, []byte(`{"sound":"other"}`)
		if b.target(t, p, &d) != b.target(t, p, b.push.Device) {
			t.Error("another pushkey_ts and other tweaks have another target")
		}
	})
}

// target calls the method, and checks what must be true of each call.
func (b *bench) target(t *testing.T, p providers.Identifier, d *providers.Device) (target string) {
	t.Helper()
	before := copyOf(&providers.Push{Notification: new(providers.Notification), Device: d}).Device
	targets, ok := attempt(t, b.suite.run, "Target", patience, func() [2]string { return [2]string{p.Target(d), p.Target(d)} })
	if !ok {
		t.FailNow()
	}
	target = targets[0]
	if targets[1] != target {
		t.Error("a second call returns another target for the same device")
	}
	if after := copyOf(&providers.Push{Notification: new(providers.Notification), Device: d}).Device; !reflect.DeepEqual(before, after) {
		t.Error("the device was modified")
	}
	return target
}

// testElsewhere combines a device's pushkey with the data of a device of another server. If the push then goes to that server, anyone
// who knows a pushkey can choose the server that answers for it, unless the two have different targets.
func (s Suite) testElsewhere(t *testing.T) {
	t.Parallel()
	ca := NewCA(t)
	b := s.startWith(t, ca, ca.File, true, answers(http.StatusServiceUnavailable, nil, ""))
	var reached atomic.Bool
	other := s.startWith(t, ca, ca.File, true, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Store(true)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	push := copyOf(b.push)
	push.Device.Data = other.push.Device.Data
	o, ok := b.call(t.Context(), t, push, patience)
	if !ok || !reached.Load() {
		return // the pushkey or the operator decides where it goes
	}
	p, ok := b.provider.(providers.Identifier)
	switch {
	case !ok:
		t.Errorf("the data decide where a push goes (%s), but the provider does not implement providers.Identifier", o.Reason)
	case b.target(t, p, push.Device) == b.target(t, p, b.push.Device):
		t.Error("two devices with one pushkey have the same target, but their pushes go to different servers")
	}
}
