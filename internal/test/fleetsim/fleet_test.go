package fleetsim

import (
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

// usual is the fleet of most tests: one hundred gateways and 64 shards.
func usual(t *testing.T) Options {
	t.Helper()
	seed, pushes := variable(t, "FLEETSIM_SEED", 1), variable(t, "FLEETSIM_PUSHES", 20_000)
	t.Logf("the seed is %d: repeat this run with FLEETSIM_SEED=%d FLEETSIM_PUSHES=%d", seed, seed, pushes)
	o := Default(seed)
	o.Pushes, o.Time = int(pushes), 5*time.Minute
	return o
}

func variable(t *testing.T, name string, value uint64) uint64 {
	t.Helper()
	if text := os.Getenv(name); text != "" {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return value
}

// run runs a fleet, and shows what happened.
func run(t *testing.T, o Options) *Result {
	t.Helper()
	r := New(o).Run()
	r.Write(t.Output())
	if r.Report.Taken < o.Pushes*9/10 {
		t.Errorf("only %d of %d pushes were taken", r.Report.Taken, o.Pushes)
	}
	return r
}

func TestM20_WhatAReplicaConfirmedSurvivesEveryFailure(t *testing.T) {
	t.Parallel()
	o := usual(t)
	o.Replicas = true
	r := run(t, o)
	if n := len(r.Faults()); n > 0 {
		t.Errorf("%d faults", n)
	}
	if len(r.Lost) == 0 {
		t.Error("no failover lost anything, so this shows nothing")
	}
}

func TestM20_TheSameSeedMakesTheSameRun(t *testing.T) {
	t.Parallel()
	o := usual(t)
	o.Pushes, o.Gateways, o.Devices = 10_000, 20, 2000
	a, b := New(o).Run(), New(o).Run()
	if !reflect.DeepEqual(a, b) {
		t.Errorf("two runs differ:\n%+v\n%+v", a, b)
	}
	o.Seed++
	if c := New(o).Run(); reflect.DeepEqual(a, c) {
		t.Error("another seed makes the same run")
	}
}

func TestM21_InMemoryOnlyWhatAFailoverLostIsLost(t *testing.T) {
	t.Parallel()
	r := run(t, usual(t))
	if n := len(r.Faults()); n > 0 {
		t.Errorf("%d faults that no failover explains", n)
	}
	if r.Report.Count(checker.Lost) == 0 {
		t.Error("nothing was lost, so this shows nothing")
	}
}

func TestM22_TheJudgeNoticesEachFlaw(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flaw Flaw
		want checker.Kind
	}{
		{LeaseTwice, checker.Doubled},
		{NewestFirst, checker.Reordered},
		{NoDedupe, checker.Doubled},
		{AnswerFirst, checker.Lost},
		{OneByOne, checker.Starved},
		{HastyDuplicates, checker.Lost},
	} {
		t.Run(string(tt.flaw), func(t *testing.T) {
			t.Parallel()
			o := usual(t)
			o.Seed, o.Flaw, o.Replicas = 1, tt.flaw, true // by chance, a flaw may have no effect
			if tt.flaw == OneByOne {
				o.Pushes *= 2
				o.Time *= 4 // longer than a lease, and the patience after that
			}
			if r := run(t, o); r.Report.Count(tt.want) == 0 {
				t.Errorf("the judge did not find that pushes were %s", tt.want)
			}
		})
	}
}

func TestM24_ShardsOfUnevenDevicesRefuseEarlier(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4, 16, 64} {
		o := usual(t)
		o.Shards = shards
		fill := New(o).Fill()
		t.Logf("%d shards: the first refusal at %.1f %%, %.1f %% refused in all", shards, 100*fill.First, 100*fill.Refused)
		if fill.First < 0.7 || fill.Refused > 0.1 {
			t.Errorf("%d shards: %+v", shards, fill)
		}
	}
}
