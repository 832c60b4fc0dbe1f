package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// history is how many pushes of the last hour had which outcome.
type history struct{ gateway.History }

// maxMinutes bounds what is drawn.
const maxMinutes = 24 * 60

var errHistory = errors.New("the lines of the last hour are missing, because the gateway's answer is not as expected: " +
	"use the command of the same version as the gateway")

// history asks for the history, of one app if the query names it. The error is for people.
func (p *Page) history(ctx context.Context, query url.Values) (*history, error) {
	ctx, cancel := context.WithTimeout(ctx, p.historyPatience)
	defer cancel()
	h := new(history)
	_, err := p.api.Get(ctx, "history", query, &h.History)
	var refused *adminclient.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return nil, errors.New("the lines of the last hour are missing, because this gateway does not count pushes by minute: " +
			"it is older than this command")
	case err != nil:
		return nil, errors.New("the lines of the last hour are missing: " + err.Error())
	case h.Minutes < 2 || h.Minutes > maxMinutes:
		return nil, errHistory
	}
	return h, nil
}

// of returns the history of an app; nil if there is none.
func (h *history) of(app string) map[string][]uint32 {
	if h == nil {
		return nil
	}
	for _, a := range h.Apps {
		if a.App == app {
			return a.Outcomes
		}
	}
	return nil
}

// sums returns the counts of all apps together.
func (h *history) sums() map[string][]int {
	sums := make(map[string][]int)
	for _, a := range h.Apps {
		for outcome, counts := range a.Outcomes {
			sums[outcome] = h.plus(sums[outcome], counts)
		}
	}
	return sums
}

// sumsOf returns the counts of an app.
func (h *history) sumsOf(app string) map[string][]int {
	sums := make(map[string][]int)
	for outcome, counts := range h.of(app) {
		sums[outcome] = h.plus(nil, counts)
	}
	return sums
}

// plus adds counts that end with the same minute to a sum, which has one for each minute.
func (h *history) plus(sum []int, counts []uint32) []int {
	if sum == nil {
		sum = make([]int, h.Minutes)
	}
	skip := h.Minutes - len(counts)
	for i, n := range counts {
		if at := i + skip; at >= 0 {
			sum[at] += int(n)
		}
	}
	return sum
}

func total(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// delivered is the outcome of a push that the push service accepted.
const delivered = "delivered"

// outcomes are the outcomes in the order of the legend. Outcomes that this program does not know follow.
var outcomes = []string{
	delivered, "retry", "rejected", "suspected", "misconfigured", "unauthorized", "doubted", "held", "outdated", "dropped",
}

// ordered returns the outcomes of a history in the order of the legend.
func ordered(byOutcome map[string][]int) []string {
	var list, others []string
	for _, o := range outcomes {
		if _, ok := byOutcome[o]; ok {
			list = append(list, o)
		}
	}
	for o := range byOutcome {
		if !slices.Contains(outcomes, o) {
			others = append(others, o)
		}
	}
	slices.Sort(others)
	return append(list, others...)
}
