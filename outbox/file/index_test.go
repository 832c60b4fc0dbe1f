package file

import (
	"context"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// step is an index that a test drives in an order that concurrent calls may have.
type step struct {
	*testing.T
	*index
	now time.Time
}

func newStep(t *testing.T) *step {
	x := newIndex()
	x.setBounds(bounds.Bounds{PerApp: 100, PerDevice: 100, Size: 1 << 20})
	return &step{t, x, time.Now()}
}

func (s *step) reserveOne(e outbox.Entry) (written func()) {
	s.Helper()
	a, as, err := s.reserve(&e, s.now)
	if err != nil || as != fresh {
		s.Fatal(as, err)
	}
	return func() {
		s.put(a)
		s.arrived(a, nil, s.now)
	}
}

func (s *step) expect(ids ...string) {
	s.Helper()
	granted, _, _ := s.take(app, 10, s.now)
	if len(granted) != len(ids) {
		s.Fatalf("leased %d devices, want %q", len(granted), ids)
	}
	for i, id := range ids {
		if granted[i].item.id != id {
			s.Errorf("leased %s, want %s", granted[i].item.id, id)
		}
	}
}

func TestAnEntryThatIsWrittenAfterALaterOneStallsNothing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *step){
		"settled":  func(s *step) { s.settle(ref("a", "2"), s.now) },
		"released": func(s *step) { s.release(ref("a", "2"), s.now, true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStep(t)
			one, two := s.reserveOne(entry("a", "1")), s.reserveOne(entry("a", "2"))
			two()
			s.expect("2")
			one()
			s.expect()
			end(s)
			s.expect("1")
			s.settle(ref("a", "1"), s.now)
			if name == "released" {
				s.expect("2")
			}
		})
	}
}

func TestABadgeThatIsLeasedWhileItIsReplacedKeepsItsLease(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	older, newer := entry("a", "older"), entry("a", "newer")
	older.Replace, newer.Replace = outbox.ReplaceBadge, outbox.ReplaceBadge
	s.reserveOne(older)()
	written := s.reserveOne(newer)
	s.expect("older")
	written()
	s.expect()
	s.settle(ref("a", "older"), s.now)
	s.expect("newer")
}

func TestTheIndexForgetsWhatIsGone(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	for _, id := range []string{"1", "2", "3"} {
		s.reserveOne(entry("a", id))()
		s.settle(ref("a", id), s.now)
	}
	e := entry("b", "4")
	a, _, err := s.reserve(&e, s.now)
	if err != nil {
		t.Fatal(err)
	}
	s.arrived(a, outbox.ErrNotOpen, s.now)
	if q := s.queue(app); len(q.devices) != 0 || len(q.order) != 0 || q.room.all != (bounds.Amount{}) || len(q.coming) != 0 ||
		len(q.hosts) != 0 || len(q.roll.slots) != 0 || len(q.roll.expiry) != 0 {
		t.Errorf("it still has %+v", q)
	}
}

func TestALeaseFindsNothingLostInALargeOrder(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	s.setBounds(bounds.Bounds{PerApp: 1 << 20, PerDevice: 1, Size: 1 << 30})
	const devices = 1000
	for n := range devices {
		e := entry("", "1")
		e.Device = [16]byte{byte(n), byte(n >> 8)}
		e.Due = s.now.Add(time.Duration(n*7919%devices) * time.Second)
		s.reserveOne(e)()
	}
	var last time.Time
	for range devices {
		s.now = s.now.Add(time.Second)
		granted, err := s.lease(context.Background(), app, 1, func() time.Time { return s.now })
		if err != nil || len(granted) != 1 {
			t.Fatalf("leased %v, %v", granted, err)
		}
		r := outbox.Ref{App: app, Device: granted[0].device, ID: "1"}
		n := int(r.Device[0]) | int(r.Device[1])<<8
		due := time.Time{}.Add(time.Duration(n*7919%devices) * time.Second)
		if due.Before(last) {
			t.Fatalf("device %d was due before the one that was leased before it", n)
		}
		last = due
		s.settle(r, s.now)
	}
}
