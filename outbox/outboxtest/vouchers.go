package outboxtest

import (
	"fmt"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func (f *fixture) voucher() outbox.Voucher {
	f.Helper()
	v, ok := f.q.(outbox.Voucher)
	if !ok {
		f.Skip("the queue is not an outbox.Voucher")
	}
	return v
}

func (f *fixture) expectVouched(names ...string) {
	f.Helper()
	got := make(map[[16]byte]bool)
	if err := f.voucher().Vouched(f.Context(), func(key [16]byte) { got[key] = true }); err != nil {
		f.Fatalf("Vouched: %v", err)
	}
	for _, name := range names {
		if !got[device(name)] {
			f.Errorf("%s is not vouched for", name)
		}
	}
	if len(got) != len(names) {
		f.Errorf("%d are vouched for, want %d", len(got), len(names))
	}
}

func vouched(f *fixture) {
	f.expectVouched()
	until := time.Now().Add(later)
	f.voucher().Vouch(device("short"), until)
	f.voucher().Vouch(device("long"), time.Now().Add(time.Hour))
	f.voucher().Vouch(device("over"), time.Now().Add(-time.Second))
	f.voucher().Vouch([16]byte{}, time.Now().Add(-time.Second))
	f.reopen()
	if time.Now().Before(until.Add(-moment)) {
		f.expectVouched("short", "long")
	}
	time.Sleep(time.Until(until) + moment)
	f.expectVouched("long")
	f.voucher().Vouch(device("another"), time.Now().Add(time.Hour))
	f.reopen()
	f.expectVouched("long", "another")
}

// The later time counts, whichever comes first: each gateway that shares a box vouches separately.
func vouchedAgain(f *fixture) {
	until := time.Now().Add(later)
	f.voucher().Vouch(device("longer"), until)
	f.voucher().Vouch(device("longer"), until.Add(time.Hour))
	f.voucher().Vouch(device("shorter"), until.Add(time.Hour))
	f.voucher().Vouch(device("shorter"), until)
	f.voucher().Vouch(device("written longer"), until)
	f.voucher().Vouch(device("written shorter"), until.Add(time.Hour))
	f.reopen()
	f.voucher().Vouch(device("written longer"), until.Add(time.Hour))
	f.voucher().Vouch(device("written shorter"), until)
	f.reopen()
	time.Sleep(time.Until(until) + moment)
	f.expectVouched("longer", "shorter", "written longer", "written shorter")
}

func vouchedMany(f *fixture) {
	names := make([]string, 10_000)
	for n := range names {
		names[n] = fmt.Sprint("device ", n)
		f.voucher().Vouch(device(names[n]), time.Now().Add(time.Hour+time.Duration(n)*time.Second))
	}
	f.reopen()
	f.expectVouched(names...)
}

func vouchedApart(f *fixture) {
	f.ledger()
	f.voucher().Vouch(device("a"), time.Now().Add(time.Hour))
	f.ledger().Note(device("of it"), device("b"), time.Now().Add(time.Hour))
	f.reopen()
	f.expectVouched("a")
	f.expectRecalled("b")
}

// A closed box does not block a reader.
func vouchedClosed(f *fixture) {
	v := f.voucher()
	f.reopen()
	v.Vouch(device("a"), time.Now().Add(time.Hour)) // has no effect, or an effect on the open box
	if err := v.Vouched(f.Context(), func([16]byte) {}); err == nil {
		f.Error("a box that was closed remembers")
	}
}
