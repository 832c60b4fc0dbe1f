package ui

import (
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// The running minute has had less time than the others, so it would look like a fall.
func TestTheLinesEndBeforeTheRunningMinute(t *testing.T) {
	t.Parallel()
	h := &history{gateway.History{
		Since: today, Minutes: 4,
		Apps: []gateway.AppHistory{{App: "a", Outcomes: map[string][]uint32{delivered: {10, 10, 10, 1}}}},
	}}
	c := h.large(h.sumsOf("a"), time.UTC)
	for _, points := range []string{h.small("a").Lines[0].Points, c.Lines[0].Points} {
		if points != "0,3 200,3 400,3" {
			t.Errorf("the line is %q", points)
		}
	}
	if c.Lines[0].Total != 31 || !strings.Contains(c.Text, "31 delivered") || c.To != "12:03" {
		t.Errorf("the chart is %+v", c)
	}
}
