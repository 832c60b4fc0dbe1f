package xmpp

import (
	"fmt"
	"testing"
	"time"
)

func TestX21_MadeUpDomainsUseUpNoOtherRate(t *testing.T) {
	t.Parallel()
	r := newRates(1, 2, []string{"known.test"})
	now := time.Now()
	for i := range 100_000 {
		r.take(fmt.Sprintf("d%d.test", i), now)
	}
	if len(r.domains) > maxRates {
		t.Errorf("there are %d rates", len(r.domains))
	}
	if r.take("new.test", now) {
		t.Error("a new domain has a rate of its own while there is no room")
	}
	for i, want := range []bool{true, true, false} {
		if r.take("known.test", now) != want {
			t.Errorf("stanza %d of a known domain: it doesn't have a separate rate", i)
		}
	}
	if later := now.Add(time.Minute); !r.take("new.test", later) || len(r.domains) != 1 {
		t.Errorf("quiet domains are kept: %d", len(r.domains))
	}
}

func TestX21_UsersCannotUseUpTheRateOfTheirServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.service.rates = newRates(0.001, 2, nil)
	want := []string{"result", "result", wait}
	for i, want := range want {
		if got := r.ask(registration("fcm")).Verdict(); got != want {
			t.Errorf("registration %d is answered with %s, want %s", i, got, want)
		}
	}
	for _, want := range want {
		r.want(publishing{node: "t"}, want)
	}
}
