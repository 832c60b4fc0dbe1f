package providertest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// testUsable tests what a provider knows before it uses the network: see [providers.Usable].
func (s Suite) testUsable(t *testing.T) {
	t.Parallel()
	b := s.start(t, answers(500, nil, ""))
	u, ok := b.provider.(providers.Usable)
	if !ok {
		if len(s.Unusable) > 0 {
			t.Error("the provider does not implement providers.Usable, but Suite.Unusable lists devices")
		}
		return
	}
	t.Cleanup(func() {
		if n := b.server.Connections(); n != 0 {
			t.Errorf("%d connections were made to the push service", n)
		}
	})
	t.Run("the device of a good push is usable", func(t *testing.T) {
		t.Parallel()
		if err := b.usable(t, u, b.push.Device); err != nil {
			t.Errorf("it is not: %v", err)
		}
	})
	for _, d := range s.Usable {
		t.Run("a device that another configuration could reach is usable", func(t *testing.T) {
			t.Parallel()
			b.testUsableDevice(t, u, &d)
		})
	}
	for _, d := range s.Unusable {
		t.Run("a device that nothing could be delivered to is unusable", func(t *testing.T) {
			t.Parallel()
			if b.usable(t, u, &d) == nil {
				t.Error("Usable finds it usable")
			}
		})
	}
	t.Run("nothing makes it panic", func(t *testing.T) {
		t.Parallel()
		for _, d := range strangeDevices(b.push.Device) {
			_ = b.usable(t, u, &d) // the provider decides whether it is usable
		}
	})
	t.Run("it is cheap", func(t *testing.T) {
		t.Parallel()
		b.testCheap(t, u)
	})
}

// usable calls the method, and checks what must be true of each call.
func (b *bench) usable(t *testing.T, u providers.Usable, d *providers.Device) (err error) {
	t.Helper()
	before := copyOf(&providers.Push{Notification: new(providers.Notification), Device: d}).Device
	both, ok := attempt(t, b.suite.run, "Usable", patience, func() [2]error {
		return [2]error{u.Usable(d, b.push.Site), u.Usable(d, b.push.Site)}
	})
	if !ok {
		t.FailNow()
	}
	if err = both[0]; (both[1] == nil) != (err == nil) {
		t.Errorf("the first call returns %v, the second %v", err, both[1])
	}
	after := copyOf(&providers.Push{Notification: new(providers.Notification), Device: d}).Device
	if !reflect.DeepEqual(before, after) {
		t.Error("the device was modified")
	}
	if err == nil {
		return nil
	}
	for i, secret := range b.suite.Secrets {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows secret number %d", i)
		}
	}
	if reason := unusableReason(err); reason != "" && !reasonForm.MatchString(reason) {
		t.Errorf("the reason %q is not snake_case", reason)
	}
	return err
}

// unusableReason returns the reason of an [providers.UnusableError]; empty for any other error.
func unusableReason(err error) string {
	var unusable *providers.UnusableError
	if errors.As(err, &unusable) {
		return unusable.Reason
	}
	return ""
}

// testUsableDevice requires that neither Usable nor Push finds the device unusable. The push need not arrive: its context has ended.
func (b *bench) testUsableDevice(t *testing.T, u providers.Usable, d *providers.Device) {
	if err := b.usable(t, u, d); err != nil {
		t.Errorf("it is not: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	push := *b.push
	push.Device = d
	o, ok := b.call(ctx, t, &push, patience)
	if ok && o.Kind == providers.KindRejected || o.Unusable {
		t.Errorf("the outcome is %s (%s, unusable: %t)", o.Kind, o.Reason, o.Unusable)
	}
}

// testUnusable pushes to each device that nothing could be delivered to, even if the provider has no Usable: an earlier version may
// have kept pushes for such devices.
func (s Suite) testUnusable(t *testing.T) {
	t.Parallel()
	switch {
	case len(s.Unusable) == 0 && !s.NothingUnusable:
		t.Fatal("Suite.Unusable is empty: list devices that nothing could ever be delivered to, such as one whose pushkey is not a token or " +
			"URL. If there are none, set NothingUnusable")
	case len(s.Unusable) > 0 && s.NothingUnusable:
		t.Error("Suite.NothingUnusable is set, but Suite.Unusable is not empty")
	}
	b, all, _ := s.startRecorded(t)
	for i, d := range s.Unusable {
		push := copyOf(b.push)
		push.Device = &d
		o, ok := b.call(t.Context(), t, push, patience)
		if !ok {
			return
		}
		if o.Kind != providers.KindRejected || !o.Unusable {
			t.Errorf("Unusable[%d]: the outcome is %s (%s, unusable: %t), want rejected as unusable", i, o.Kind, o.Reason, o.Unusable)
		}
		if n := len(all.take()); n > 0 {
			t.Errorf("Unusable[%d]: %d requests were made", i, n)
		}
		u, ok := b.provider.(providers.Usable)
		if !ok {
			continue
		}
		if reason := unusableReason(b.usable(t, u, &d)); reason != "" && reason != o.Reason {
			t.Errorf("Unusable[%d]: the reason is %s for Usable, and %s for Push", i, reason, o.Reason)
		}
	}
}

// testCheap requires that many concurrent calls take almost no time: the gateway makes one for each device of each request.
func (b *bench) testCheap(t *testing.T, u providers.Usable) {
	const callers, calls = 4, 1000
	const limit = 2 * time.Second // it takes about 50 ms with the race detector
	began := time.Now()
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			attempt(t, b.suite.run, "Usable", patience, func() (_ struct{}) {
				for range calls {
					if u.Usable(b.push.Device, b.push.Site) != nil || time.Since(began) > limit {
						return // another test reports it, or this one has already failed
					}
				}
				return
			})
		})
	}
	group.Wait()
	if took := time.Since(began); took > limit {
		t.Errorf("%d calls took %s", callers*calls, took)
	}
}

// strangeDevices returns devices that a client could register, and variants of a good one.
func strangeDevices(good *providers.Device) []providers.Device {
	var devices []providers.Device
	pushkeys := []string{
		"", " ", "\x00", "\xff", "=", "{", "{}", "[", `{"endpoint":1,"keys":[]}`, "https://", "https://[::1", "https://\x00/", "%", ":",
		"https:///a@b",
		strings.Repeat("A", 513), strings.Repeat("ü", 600), good.Pushkey + "\n", " " + good.Pushkey, good.Pushkey + good.Pushkey,
	}
	data := []string{
		``, `{}`, `[]`, `null`, `1`, `"x"`, `{`, `{"endpoint":null,"auth":{},"p256dh":[],"keys":1}`, `{"keys":{"p256dh":"","auth":""}}`,
		`{"default_payload":null}`, `{"default_payload":[1]}`, "{\"\\ud800\":\"\xff\"}",
		strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000),
		string(good.Data) + " ",
	}
	for _, pushkey := range append(pushkeys, good.Pushkey) {
		for _, d := range data {
			devices = append(devices, providers.Device{AppID: good.AppID, Pushkey: pushkey, Data: []byte(d)})
		}
	}
	return devices
}
