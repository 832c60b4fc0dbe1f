package file

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// expectHosts compares the devices filed under each host with the devices that exist.
func (s *step) expectHosts() {
	s.Helper()
	q := s.queue(app)
	want := make(map[string]int)
	for _, d := range q.devices {
		host := d.items[0].host
		want[host.Value()]++
		if !d.housed || d.host != host || q.hosts[host][d.seat] != d {
			s.Fatalf("a device of %q is among those of %q", host.Value(), d.host.Value())
		}
	}
	if len(q.hosts) != len(want) {
		s.Fatalf("there are %d hosts, want %d", len(q.hosts), len(want))
	}
	for host, devices := range q.hosts {
		if len(devices) != want[host.Value()] {
			s.Fatalf("%q has %d devices, want %d", host.Value(), len(devices), want[host.Value()])
		}
	}
}

func TestDevicesAreTheirHostsWhateverComesAndGoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := newStep(t)
		s.setBounds(bounds.Bounds{PerApp: 1000, PerDevice: 20, Size: 1 << 20})
		var refs []outbox.Ref
		for n := range 500 {
			dev := fmt.Sprint(random.IntN(8))
			switch r := refs; random.IntN(9) {
			case 0, 1, 2, 3:
				e := entry(dev, fmt.Sprint(n))
				e.Host = []string{"", "one", "two", "three"}[random.IntN(4)]
				e.Replace = []string{"", "room"}[random.IntN(2)]
				e.PushkeyTS = int64(random.IntN(3))
				e.Running = random.IntN(5) == 0
				if a, as, err := s.reserve(&e, s.now); err == nil && as == fresh {
					s.put(a)
					s.arrived(a, nil, s.now)
					refs = append(refs, e.Ref())
				}
			case 4, 5:
				if len(r) > 0 {
					i := random.IntN(len(r))
					s.leave(r[i], s.now)
					s.settle(r[i], s.now)
				}
			case 6:
				places, _ := s.older(app, deviceOf(dev), int64(random.IntN(2)), s.now)
				s.drop(places...)
			case 7:
				if places := s.withdraw(app, deviceOf(dev), "", s.now); random.IntN(2) == 0 {
					s.restore(places...)
				}
			default:
				s.rouseHost(app, "one", random.IntN(3), s.now)
				s.take(app, 2, s.now)
				s.now = s.now.Add(20 * time.Second)
			}
			s.expectHosts()
		}
	}
}

// When a pause ends with one push to a host, the push is not always the same device's.
func TestOneDeviceOfAHostIsAnyOfThem(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	seen := make(map[string]bool)
	for n := range 5 {
		e := entry(fmt.Sprint(n), fmt.Sprint(n))
		e.Host, e.Due = "one", s.now.Add(time.Hour)
		s.reserveOne(e)()
	}
	for range 200 {
		if n := s.rouseHost(app, "one", 1, s.now); n != 1 {
			t.Fatalf("%d devices are due", n)
		}
		granted, _, _ := s.take(app, 10, s.now)
		if len(granted) != 1 {
			t.Fatalf("%d devices were leased", len(granted))
		}
		seen[granted[0].item.id] = true
		s.release(outbox.Ref{App: app, Device: granted[0].device, ID: granted[0].item.id}, s.now.Add(time.Hour), false)
	}
	if len(seen) != 5 {
		t.Errorf("only %v were tried", seen)
	}
}

// BenchmarkRouseHost wakes one of 1,000 hosts, with 100,000 devices.
func BenchmarkRouseHost(b *testing.B) {
	x := newIndex()
	x.setBounds(bounds.Bounds{PerApp: 1 << 20, PerDevice: 10, Size: 1 << 30})
	now := time.Now()
	for n := range 100_000 {
		e := entry("", "1")
		e.Device = [16]byte{byte(n), byte(n >> 8), byte(n >> 16)}
		e.Host, e.Due = fmt.Sprintf("host%d.example.org", n%1000), now.Add(time.Hour)
		a, _, err := x.reserve(&e, now)
		if err != nil {
			b.Fatal(err)
		}
		x.put(a)
		x.arrived(a, nil, now)
	}
	for _, most := range []int{1, 0} {
		b.Run(fmt.Sprintf("most %d", most), func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				host := fmt.Sprintf("host%d.example.org", n%1000)
				x.rouseHost(app, host, most, now)
				b.StopTimer()
				for granted, _, _ := x.take(app, 200, now); len(granted) > 0; granted, _, _ = x.take(app, 200, now) {
					for _, g := range granted {
						x.release(outbox.Ref{App: app, Device: g.device, ID: "1"}, now.Add(time.Hour), false)
					}
				}
				b.StartTimer()
			}
		})
	}
}
