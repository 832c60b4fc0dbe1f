package describe

import (
	"fmt"
	"time"
)

// Clock returns the current time, in the time zone of the descriptions.
type Clock func() time.Time

// When formats a time with its distance from now; empty for no time.
func (c Clock) When(t time.Time) string {
	now := c()
	if t.IsZero() {
		return ""
	}
	return t.In(now.Location()).Format(time.DateTime) + " (" + Relative(t.Sub(now)) + ")"
}

// Whenever is like When, for a time that may be absent.
func (c Clock) Whenever(t *time.Time) string {
	if t == nil {
		return ""
	}
	return c.When(*t)
}

// Relative formats the distance of a time from now.
func Relative(d time.Duration) string {
	if d > 0 {
		return "in " + length(d)
	}
	return length(-d) + " ago"
}

// length formats a duration in a suitable unit.
func length(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
		upTo time.Duration
	}{{time.Second, "s", 2 * time.Minute}, {time.Minute, "m", 2 * time.Hour}, {time.Hour, "h", 48 * time.Hour}} {
		if n := d.Round(u.unit); n < u.upTo {
			return fmt.Sprint(int64(n/u.unit)) + u.name
		}
	}
	const day = 24 * time.Hour
	return fmt.Sprint(int64(d.Round(day)/day)) + "d"
}

// Count formats a number with its noun.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
