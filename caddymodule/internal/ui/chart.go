package ui

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The size of a chart in its own units. It is stretched to the room that it has.
const (
	chartWidth  = 600
	chartHeight = 100
)

// chart shows pushes by minute as lines.
type chart struct {
	// Text says the same in words.
	Text  string
	Lines []line
	// Top is the number at the upper edge. From, Middle and To are the times at the left, in the middle and at the right.
	Top, From, Middle, To string
	// Minutes is the same as a table, without the minutes in which nothing happened.
	Minutes table
}

// line is a line of a chart.
type line struct {
	// Class decides how the line looks.
	Class, Name string
	Total       int
	Points      string
	Meaning     string
}

// meanings explain the outcomes in a few words.
var meanings = map[string]string{
	delivered:       "the push service accepted the push",
	"retry":         "a temporary failure: the push is sent again",
	"rejected":      "the pushkey is dead",
	"suspected":     "the pushkey may be dead: it is checked again",
	"misconfigured": "the push service refuses your configuration",
	"unauthorized":  "a push server that the device chose refused the push",
	"doubted":       "reported as dead, but not believed yet",
	"held":          "a stranger's pushkey, reported as dead, but not believed yet",
	"outdated":      "an earlier registration of the device is dead",
	"dropped":       "can never be delivered, or is blocked by a setting",
}

// small returns a chart of an app with two lines: what was delivered, and all other outcomes.
func (h *history) small(app string) *chart {
	if h == nil {
		return nil
	}
	sent, other := h.plus(nil, nil), h.plus(nil, nil)
	for outcome, counts := range h.of(app) {
		if outcome == delivered {
			sent = h.plus(sent, counts)
		} else {
			other = h.plus(other, counts)
		}
	}
	top := max(1, slices.Max(sent), slices.Max(other))
	c := &chart{Text: "No push in the last hour"}
	if n, m := total(sent), total(other); n+m > 0 {
		c.Text = number(n) + " delivered"
		if m > 0 {
			c.Text += ", " + number(m) + " other"
		}
	}
	c.Lines = []line{{Class: "o-delivered", Points: points(sent, top)}}
	if total(other) > 0 {
		c.Lines = append(c.Lines, line{Class: "o-other", Points: points(other, top)})
	}
	return c
}

// large returns a chart with a line for each outcome.
func (h *history) large(sums map[string][]int, zone *time.Location) *chart {
	top := 1
	for _, counts := range sums {
		top = max(top, slices.Max(counts))
	}
	at := func(minute int) string {
		return h.Since.Add(time.Duration(minute) * time.Minute).In(zone).Format("15:04")
	}
	c := &chart{Top: number(top), From: at(0), Middle: at(h.Minutes / 2), To: at(h.Minutes - 1)}
	names := ordered(sums)
	var parts []string
	for _, outcome := range names {
		n := total(sums[outcome])
		c.Lines = append(c.Lines, line{classOf(outcome), outcome, n, points(sums[outcome], top), meanings[outcome]})
		parts = append(parts, number(n)+" "+outcome)
	}
	c.Text = "No push in the last hour"
	if len(parts) > 0 {
		c.Text = "Pushes in each minute of the last hour, at most " + number(top) + " with the same outcome. " +
			"In total: " + strings.Join(parts, ", ")
	}
	c.Minutes = newTable("Pushes by minute", append([]string{"Minute"}, names...)...)
	for minute := h.Minutes - 1; minute >= 0; minute-- {
		row, any := cells(at(minute)), false
		for _, outcome := range names {
			n := sums[outcome][minute]
			any = any || n > 0
			row = append(row, cell{Text: number(n), Number: true})
		}
		if any {
			c.Minutes.add(row...)
		}
	}
	return c
}

// classOf returns the class of an outcome's line. Outcomes that this program does not know share one.
func classOf(outcome string) string {
	if slices.Contains(outcomes, outcome) {
		return "o-" + outcome
	}
	return "o-other"
}

// points returns the line through the counts. It ends before the running minute, which would look like a fall. The line stays a little below
// the upper edge, so its whole width is seen.
func points(counts []int, top int) string {
	const edge = 3
	b := make([]byte, 0, 8*len(counts))
	for i, n := range counts[:len(counts)-1] {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(i*chartWidth/(len(counts)-1)), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(chartHeight-edge-n*(chartHeight-2*edge)/top), 10)
	}
	return string(b)
}
