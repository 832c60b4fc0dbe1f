package gateway

import (
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// died is when a pushkey died, according to the push service.
var died = time.Unix(1_700_000_000, 0)

const (
	before = 1_699_999_999_000 // a pushkey_ts in the second before
	within = 1_700_000_000_999 // in the same second
	since  = 1_700_000_001_000 // in the second after
)

func TestDecide(t *testing.T) {
	t.Parallel()
	retry := providers.Retry("unavailable", 0, nil)
	rejected := providers.Rejected("gone")
	dated := providers.Outcome{Kind: providers.KindRejected, Since: died}
	doubtful := providers.Outcome{Kind: providers.KindRejected, Doubtful: true}
	unusable := providers.Unusable("bad_token", nil)
	unusable.Since, unusable.Doubtful = died, true // means nothing: no service was asked
	misconfigured := providers.Misconfigured("bad_topic", nil)
	outbox := func(e effect) circumstances { return circumstances{outbox: e} }
	store := func(e effect) circumstances { return circumstances{store: e} }

	tests := []struct {
		name string
		o    providers.Outcome
		c    circumstances
		want decision
	}{
		{"delivered: remembered, and the outbox forgets it", providers.Delivered(), circumstances{}, decision{result: Delivered, remember: true, settle: true}},
		{"delivered after the outbox took it", providers.Delivered(), outbox(done), decision{result: Delivered, remember: true, settle: true}},
		{"delivered after the outbox did not take it", providers.Delivered(), outbox(failed), decision{result: Delivered, remember: true, settle: true}},

		{"dropped: nothing left to do", providers.Dropped("too_large", nil), circumstances{}, decision{result: Dropped, settle: true}},
		{"dropped after the outbox took it", providers.Dropped("too_large", nil), outbox(done), decision{result: Dropped, settle: true}},
		{"dropped after the outbox did not take it", providers.Dropped("too_large", nil), outbox(failed), decision{result: Dropped, settle: true}},

		{"unusable: dead, and never recorded", unusable, circumstances{}, decision{result: Rejected, settle: true}},
		{"unusable, whatever its pushkey_ts", unusable, circumstances{pushkeyTS: since}, decision{result: Rejected, settle: true}},
		{"unusable after the outbox took it", unusable, outbox(done), decision{result: Rejected, settle: true}},

		{"rejected: dead, and recorded", rejected, circumstances{}, decision{result: Rejected, record: true, settle: true}},
		{"rejected and recorded: the outbox forgets it", rejected, store(done), decision{result: Rejected, record: true, settle: true}},
		{"rejected and not recorded: dead all the same, and the outbox tries again", rejected, store(failed), decision{result: Rejected, record: true, retryAfter: transientRetry, notBefore: transientRetry}},
		{"rejected after the outbox took it", rejected, outbox(done), decision{result: Rejected, record: true, settle: true}},
		{"rejected needs no delivery to be believed", rejected, circumstances{proven: false}, decision{result: Rejected, record: true, settle: true}},

		{"died before it registered: the push is dropped", dated, circumstances{pushkeyTS: since}, decision{result: Dropped, settle: true}},
		{"died in the second in which it registered", dated, circumstances{pushkeyTS: within}, decision{result: Rejected, record: true, settle: true}},
		{"died after it registered", dated, circumstances{pushkeyTS: before}, decision{result: Rejected, record: true, settle: true}},
		{"died, and nobody knows when it registered", dated, circumstances{}, decision{result: Rejected, record: true, settle: true}},

		{"doubtful of an unproven app: the operator's fault", doubtful, circumstances{}, decision{handOver: true, retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},
		{"doubtful of an unproven app, kept", doubtful, outbox(done), decision{result: Queued, remember: true, retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},
		{"doubtful of an unproven app, not kept", doubtful, outbox(failed), decision{retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},
		{"doubtful of a proven app: believed", doubtful, circumstances{proven: true}, decision{result: Rejected, record: true, settle: true}},

		{"rejected while the fuse is tripped: the operator's fault", rejected, circumstances{held: true}, decision{handOver: true, retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},
		{"doubtful of a proven app while the fuse is tripped", doubtful, circumstances{proven: true, held: true, outbox: failed}, decision{retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},
		{"rejected while strangers have tripped the fuse", rejected, circumstances{held: true, quiet: true}, decision{handOver: true, retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry}},
		{"doubtful of a made-up device of an unproven app", doubtful, circumstances{quiet: true}, decision{handOver: true, retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry}},
		{"died before it registered, while the fuse is tripped", dated, circumstances{held: true, pushkeyTS: since}, decision{result: Dropped, settle: true}},
		{"unusable while the fuse is tripped", unusable, circumstances{held: true, outbox: failed}, decision{retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},
		{"delivered while the fuse is tripped", providers.Delivered(), circumstances{held: true}, decision{result: Delivered, remember: true, settle: true}},

		{"misconfigured: to the outbox, and the operator hears of it", misconfigured, circumstances{}, decision{handOver: true, retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},
		{"misconfigured, kept", misconfigured, outbox(done), decision{result: Queued, remember: true, retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},
		{"misconfigured, not kept", misconfigured, outbox(failed), decision{retryAfter: misconfiguredRetry, notBefore: misconfiguredRetry, alarm: true}},

		{"retry: to the outbox", retry, circumstances{}, decision{handOver: true, retryAfter: transientRetry}},
		{"retry, kept", retry, outbox(done), decision{result: Queued, remember: true, retryAfter: transientRetry}},
		{"retry, not kept", retry, outbox(failed), decision{retryAfter: transientRetry}},
		{"no classification at all is a retry", providers.Outcome{}, outbox(failed), decision{retryAfter: transientRetry}},
		{"a kind that nobody knows is a retry", providers.Outcome{Kind: 99}, outbox(failed), decision{retryAfter: transientRetry}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := decide(tt.o, tt.c); got != tt.want {
				t.Errorf("\ngot  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestAPushServiceIsLeftAloneAsLongAsItAsked(t *testing.T) {
	t.Parallel()
	retry := func(d time.Duration) providers.Outcome { return providers.Retry("busy", d, nil) }
	misconfigured := func(d time.Duration) providers.Outcome {
		return providers.Outcome{Kind: providers.KindMisconfigured, RetryAfter: d}
	}
	tests := []struct {
		name string
		o    providers.Outcome
		want time.Duration
	}{
		{"it did not say", retry(0), transientRetry},
		{"a senseless time", retry(-time.Minute), transientRetry},
		{"shorter than ours", retry(time.Second), time.Second},
		{"longer than ours", retry(10 * time.Minute), 10 * time.Minute},
		{"at most an hour", retry(24 * time.Hour), time.Hour},
		{"a misconfiguration takes a minute at least", misconfigured(time.Second), time.Minute},
		{"and longer if asked", misconfigured(10 * time.Minute), 10 * time.Minute},
		{"and an hour at most", misconfigured(24 * time.Hour), time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := decide(tt.o, circumstances{}).retryAfter; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDecidePending(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		outbox effect
		want   decision
	}{
		{"an attempt outlasts the request: to the outbox", untried, decision{handOver: true, retryAfter: pendingRetry}},
		{"kept", done, decision{result: Queued, remember: true, retryAfter: pendingRetry}},
		{"not kept", failed, decision{retryAfter: pendingRetry}},
		{"nobody knows", unsure, decision{retryAfter: pendingRetry}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := decidePending(circumstances{outbox: tt.outbox}); got != tt.want {
				t.Errorf("\ngot  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestThePromisesHoldInAllCircumstances tries every outcome in every circumstance.
func TestThePromisesHoldInAllCircumstances(t *testing.T) {
	t.Parallel()
	everyOutcome(func(o providers.Outcome) {
		everyCircumstance(func(c circumstances) {
			d := decide(o, c)
			proved := o.Kind == providers.KindSuspected && c.suspicion == done
			rejected := o.Kind == providers.KindRejected || proved
			judged := rejected || o.Kind == providers.KindDelivered || o.Kind == providers.KindDropped
			promises := []struct {
				name string
				kept bool
			}{
				{"only a provider's rejection makes a pushkey dead", !d.result.dead() || rejected},
				{"what is only suspected makes none dead", !d.result.dead() || o.Kind != providers.KindSuspected || proved},
				{"a suspicion is asked about once", !d.suspect || o.Kind == providers.KindSuspected && c.suspicion == untried && c.lookIn == 0},
				{"a pending push that the operator's settings keep back is not given up", !d.settle || !o.Blocked || !c.pending || o.Kind != providers.KindDropped},
				{"an unproven app's doubt makes none dead", !d.result.dead() || o.Unusable || !o.Doubtful || c.proven},
				{"a tripped fuse makes none dead", !d.result.dead() || !c.held},
				{"and has nothing recorded", !d.record || !c.held},
				{"what is accepted was delivered, dropped or kept", !d.result.accepted() || judged || c.outbox == done},
				{"only a rejection is recorded, and never an unusable device", !d.record || (d.result.dead() && !o.Unusable)},
				{"only what was delivered or kept is remembered", !d.remember || o.Kind == providers.KindDelivered || c.outbox == done},
				{"the outbox is asked once", !d.handOver || c.outbox == untried},
				{"nothing that must still be delivered is settled", !d.settle || judged},
				{"what is tried again is so after a while", d.settle || d.retryAfter > 0},
				{"a rejection that is not believed alarms unless anyone could have caused it", d.alarm == !c.quiet || !rejected || d.settle || d.record || c.store == failed},
				{"what a pause kept off comes back by itself, and not all at once", d.spread == (c.turnedAway && c.paused && !judged && o.Kind != providers.KindMisconfigured && o.Kind != providers.KindSuspected) && !(d.park && d.spread)},
				{"a misconfiguration alarms", d.alarm == !c.stranger || o.Kind != providers.KindMisconfigured},
			}
			for _, p := range promises {
				if !p.kept {
					t.Errorf("%s: %+v in %+v gives %+v", p.name, o, c, d)
				}
			}
		})
	})
}

func everyOutcome(f func(providers.Outcome)) {
	for kind := range providers.Kind(8) { // two more than there are
		for flags := range 16 {
			o := providers.Outcome{Kind: kind, Unusable: flags&1 != 0, Doubtful: flags&2 != 0, Blocked: flags&8 != 0}
			if flags&4 != 0 {
				o.Since, o.RetryAfter = died, time.Hour
			}
			f(o)
		}
	}
}

func everyCircumstance(f func(circumstances)) {
	for _, ts := range []int64{0, before, within, since} {
		for _, proven := range []bool{false, true} {
			for _, store := range []effect{untried, done, failed} {
				for _, outbox := range []effect{untried, done, failed, unsure} {
					for flags := range 128 {
						f(circumstances{
							pushkeyTS: ts, proven: proven, store: store, outbox: outbox,
							held: flags&1 != 0, pending: flags&2 != 0, trusted: flags&4 != 0, turnedAway: flags&8 != 0, stranger: flags&16 != 0, quiet: flags&32 != 0, paused: flags&64 != 0,
						})
					}
					for _, suspicion := range []effect{done, failed} {
						f(circumstances{pushkeyTS: ts, proven: proven, store: store, outbox: outbox, suspicion: suspicion})
						f(circumstances{pushkeyTS: ts, proven: proven, store: store, outbox: outbox, suspicion: suspicion, held: true})
					}
					f(circumstances{pushkeyTS: ts, proven: proven, store: store, outbox: outbox, lookIn: time.Minute})
				}
			}
		}
	}
}
