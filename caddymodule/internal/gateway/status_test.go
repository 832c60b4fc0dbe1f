package gateway

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// inspectedBox is an outbox that can be looked into.
type inspectedBox struct {
	*memoryBox
	depths []outbox.Depth
	broken error
}

func (b *inspectedBox) Lease(ctx context.Context, _ string, _ int) ([]outbox.Leased, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (b *inspectedBox) Discard(context.Context, string, [16]byte, int64) error { return nil }

func (b *inspectedBox) Rouse(context.Context, string) error { return nil }

func (b *inspectedBox) Depths(context.Context) ([]outbox.Depth, error) { return b.depths, b.broken }

func (b *inspectedBox) List(context.Context, string, string, int) ([]outbox.Waiting, string, error) {
	return nil, "", nil
}

func (b *inspectedBox) RouseHost(context.Context, string, string, int) (int, error) { return 0, nil }

func (b *inspectedBox) RouseDevice(context.Context, string, [16]byte) (bool, error) {
	return false, nil
}

func (b *inspectedBox) Drop(context.Context, string, [16]byte, string) (int, error) { return 0, nil }

// expiring is a provider whose credential expires.
type expiring struct {
	*scripted
	end time.Time
}

func (e expiring) CredentialExpiry() time.Time { return e.end }

func TestAnAppsStatusTellsWhatBecameOfItsPushes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := inTurn(providers.Delivered(), providers.Retry("http_503", 0, errors.New("busy")), providers.Misconfigured("http_403", nil),
			providers.Dropped("too_large", nil), providers.Retry("http_503", 0, errors.New("busier")))
		end := time.Now().Add(48 * time.Hour)
		r := newRig(t, appFor("app", expiring{p, end}), appFor("other", always(providers.Delivered())))
		begin := time.Now()
		for i := range 5 {
			r.notify(event("$"+string(rune('a'+i)), device("key")))
			time.Sleep(time.Minute)
		}
		status := r.Status(t.Context())
		if len(status) != 2 || status[1].App != "other" || len(status[1].Troubles) != 0 || status[1].LastDelivered != nil {
			t.Fatalf("the status is %+v", status)
		}
		s := status[0]
		if s.App != "app" || s.Provider != "scripted" || s.Breaker != "closed" || s.InFlight != 0 || !s.Proven || s.Outbox != nil {
			t.Errorf("the status is %+v", s)
		}
		if s.LastDelivered == nil || !s.LastDelivered.Equal(begin) || s.CredentialExpiry == nil || !s.CredentialExpiry.Equal(end) {
			t.Errorf("delivered at %v, and the credential ends at %v", s.LastDelivered, s.CredentialExpiry)
		}
		want := []Trouble{
			{Reason: "http_503", Count: 2, First: begin.Add(time.Minute), Last: begin.Add(4 * time.Minute), Since: begin.Add(time.Minute), Detail: "busier", lasts: true},
			{Reason: "too_large", Count: 1, First: begin.Add(3 * time.Minute), Last: begin.Add(3 * time.Minute), Since: begin.Add(3 * time.Minute)},
			{Reason: "http_403", Count: 1, First: begin.Add(2 * time.Minute), Last: begin.Add(2 * time.Minute), Since: begin.Add(2 * time.Minute), Alarm: true, settings: true, lasts: true},
		}
		if len(s.Troubles) != len(want) {
			t.Fatalf("the troubles are %+v", s.Troubles)
		}
		for i := range want {
			if s.Troubles[i] != want[i] {
				t.Errorf("trouble %d is %+v, want %+v", i, s.Troubles[i], want[i])
			}
		}
	})
}

func TestAnAppsStatusTellsWhatIsUnderWayAndWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := appFor("app", after(10*time.Second, providers.Delivered()))
		a.Wait = time.Second
		r := newRig(t, a, appFor("other", always(providers.Delivered()))).withOutbox()
		oldest := time.Now()
		r.use(&inspectedBox{memoryBox: r.box, depths: []outbox.Depth{{App: "app", Entries: 3, Devices: 2, Oldest: oldest}, {App: "gone", Entries: 9}}})
		r.notify(event("$1", device("key")))
		status := r.Status(t.Context())
		if s := status[0]; s.InFlight != 1 || s.Outbox == nil || s.Outbox.Entries != 3 || s.Outbox.Devices != 2 || !s.Outbox.Oldest.Equal(oldest) {
			t.Errorf("the status is %+v with the outbox %+v", s, s.Outbox)
		}
		if s := status[1]; s.Outbox == nil || *s.Outbox != (OutboxStatus{}) {
			t.Errorf("of the app that nothing waits for: %+v", s.Outbox)
		}
		r.Shared.Drain(t.Context())
		if n := r.Status(t.Context())[0].InFlight; n != 0 {
			t.Errorf("%d are under way when all have ended", n)
		}
	})
}

func TestWhatDoesNotWorkIsADegradation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := time.Now().Add(-time.Hour)
		r := newRig(t, appFor("app", always(providers.Retry("http_503", 0, nil))), appFor("old", expiring{always(providers.Delivered()), ended}))
		r.use(&inspectedBox{memoryBox: r.box, broken: errBroken})
		r.Fuse = FuseOptions{Share: 0.5, Window: time.Hour}
		r.deliveredTo("unknown", 'a', 'a'+fuseMin)
		for i := range fuseMin {
			r.notify(event("$"+string(rune('a'+i)), device("key"))) // the breaker opens
			r.notify(event("$u", deviceOf("unknown", string(rune('a'+i)), 1)))
		}
		want := []Degradation{
			{App: "", Reason: "outbox_unreadable"},
			{App: "", Reason: "fuse_tripped", Since: present(time.Now())},
			{App: "app", Reason: "breaker_open"},
			{App: "old", Reason: "credential_expired", Since: &ended},
		}
		got := r.Degradations(r.Status(t.Context()))
		if len(got) != len(want) {
			t.Fatalf("degraded is %+v", got)
		}
		for i := range want {
			same := (got[i].Since == nil) == (want[i].Since == nil) && (got[i].Since == nil || got[i].Since.Equal(*want[i].Since))
			if got[i].App != want[i].App || got[i].Reason != want[i].Reason || !same {
				t.Errorf("degradation %d is %+v, want %+v", i, got[i], want[i])
			}
		}
		if fresh := newRig(t, appFor("app", always(providers.Delivered()))); len(fresh.Degradations(fresh.Status(t.Context()))) != 0 {
			t.Error("one that is well, and has no outbox, is degraded")
		}
	})
}

func TestM19_APartOfTheOutboxThatCannotBeReadIsADegradation(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", always(providers.Delivered())), appFor("idle", always(providers.Delivered())))
	parts := &outbox.PartError{Parts: "shards 2, 7 of 16", Err: errBroken}
	r.use(&inspectedBox{memoryBox: r.box, depths: []outbox.Depth{{App: "app", Entries: 3, Devices: 2}}, broken: parts})
	status := r.Status(t.Context())
	for i, entries := range []int{3, 0} {
		if s := status[i].Outbox; s == nil || s.Entries != entries || s.Unreadable != parts.Parts {
			t.Errorf("the outbox of %s is %+v", status[i].App, s)
		}
	}
	if got := r.Degradations(status); len(got) != 1 || got[0].Reason != "outbox_unreadable" || got[0].Detail != parts.Parts {
		t.Errorf("degraded is %+v", got)
	}
	if depths, _, known := r.depths(t.Context()); !known || len(depths) != 1 {
		t.Errorf("the depths are %+v, known %v", depths, known)
	}
}

// confirmedBox is an outbox whose servers confirm pushes, or not, and were replaced once.
type confirmedBox struct {
	*memoryBox
	since time.Time
	why   error
}

func (b *confirmedBox) Unconfirmed() (time.Time, error) { return b.since, b.why }

func (b *confirmedBox) Failovers() (int, time.Time) { return 1, b.since }

func TestM33_ServersThatDoNotConfirmAreADegradationAndFailoversAreShown(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", always(providers.Delivered())))
	box := &confirmedBox{memoryBox: r.box, since: time.Now(), why: errBroken}
	r.use(box)
	status := r.Status(t.Context())
	if got := r.Degradations(status); len(got) != 1 || got[0].Reason != "outbox_unconfirmed" || got[0].Error != errBroken.Error() || !got[0].Since.Equal(box.since) {
		t.Errorf("degraded is %+v", got)
	}
	box.why = nil
	if got := r.Degradations(status); len(got) != 0 {
		t.Errorf("degraded is %+v", got)
	}
	if got := r.Servers(); len(got) != 1 || got[0] != (ServersStatus{"outbox", 1, box.since}) {
		t.Errorf("the servers are %+v", got)
	}
}

func TestAnAppIsMisconfiguredUntilItDelivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, appFor("app", inTurn(providers.Misconfigured("http_403", nil), providers.Retry("http_503", 0, nil), providers.Delivered())))
		begin := time.Now()
		for i, want := range []bool{true, true, false} {
			r.notify(event("$"+string(rune('a'+i)), device("key")))
			time.Sleep(time.Minute)
			got := r.Degradations(r.Status(t.Context()))
			if (len(got) == 1) != want {
				t.Fatalf("after push %d, degraded is %+v", i, got)
			}
			if want && (got[0].App != "app" || got[0].Reason != "misconfigured" || got[0].Detail != "http_403" || !got[0].Since.Equal(begin)) {
				t.Errorf("after push %d, degraded is %+v", i, got)
			}
		}
	})
}

func TestATrippedFuseOfAnAppIsADegradation(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", always(providers.Rejected("gone"))))
	r.Fuse = FuseOptions{Share: 0.5, Window: time.Hour}
	for i := range fuseMin {
		r.notify(event("$1", device(fmt.Sprint("stranger", i))))
	}
	r.Shared.Drain(t.Context())
	status := r.Status(t.Context())
	if got := r.Degradations(status); len(got) != 0 || status[0].Fuse.Tripped == nil || status[0].Fuse.Alarm != nil {
		t.Errorf("only strangers: degraded is %+v, the fuse %+v", got, status[0].Fuse)
	}
	r.deliveredTo("app", 'a', 'a'+fuseMin)
	for i := range fuseMin {
		r.notify(event("$1", device(string(rune('a'+i)))))
	}
	r.Shared.Drain(t.Context())
	if got := r.Degradations(r.Status(t.Context())); len(got) != 1 || got[0].App != "app" || got[0].Reason != "fuse_tripped" || got[0].Since == nil {
		t.Errorf("degraded is %+v", got)
	}
}

// Interface guards
var (
	_ outbox.Inspector  = (*inspectedBox)(nil)
	_ providers.Expirer = expiring{}
	_ rejected.Store    = (*memoryStore)(nil)
)
