package describe

import (
	"testing"
	"time"
)

func TestADurationIsToldInTheUnitThatSuitsIt(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0:                                     "0s ago",
		-400 * time.Millisecond:               "0s ago",
		-119 * time.Second:                    "119s ago",
		-2 * time.Minute:                      "2m ago",
		time.Hour - time.Second:               "in 60m",
		119*time.Minute + 50*time.Second:      "in 2h",
		day - time.Second:                     "in 24h",
		47 * time.Hour:                        "in 47h",
		48 * time.Hour:                        "in 2d",
		-30*day - 13*time.Hour:                "31d ago",
		400 * day:                             "in 400d",
		-2*time.Minute + 100*time.Millisecond: "2m ago",
	} {
		if got := Relative(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestATimeIsTheOperatorsOwn(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 2*60*60)
	today := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	c := Clock(func() time.Time { return today.In(zone) })
	if got := c.When(today.Add(-time.Hour)); got != "2026-03-14 13:00:00 (60m ago)" {
		t.Errorf("got %q", got)
	}
	if got := c.When(time.Time{}); got != "" {
		t.Errorf("no time is %q", got)
	}
}
