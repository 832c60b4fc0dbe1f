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

func (f *fixture) vouchedFor() memory {
	f.Helper()
	return f.remembered("vouched for", f.voucher().Vouched)
}

func (f *fixture) expectVouched(names ...string) {
	f.Helper()
	f.vouchedFor().expect(names...)
}

func vouched(f *fixture) {
	f.expectVouched()
	until := time.Now().Add(later)
	f.voucher().Vouch(device("short"), until)
	f.voucher().Vouch(device("long"), time.Now().Add(time.Hour))
	f.voucher().Vouch(device("over"), time.Now().Add(-time.Second))
	f.voucher().Vouch([16]byte{}, time.Now().Add(-time.Second))
	f.reopen()
	f.vouchedFor().expectBefore(until, "short", "long")
	f.eventually(f.vouchedFor, "long")
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
	f.voucher().Vouch(device("over by then"), until)
	f.reopen()
	f.eventually(f.vouchedFor, "longer", "shorter", "written longer", "written shorter")
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
