package ui

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
)

// history is how many pushes had which outcome in each minute of the last hour.
type history struct {
	Since   time.Time    `json:"since"`
	Minutes int          `json:"minutes"`
	Apps    []appHistory `json:"apps"`
}

type appHistory struct {
	App string `json:"app"`
	// Outcomes are the counts by outcome, oldest minute first.
	Outcomes map[string][]int `json:"outcomes"`
}

const (
	// historyTime bounds how long the page waits for the history, which is the least important part.
	historyTime = 5 * time.Second
	// maxMinutes bounds what is drawn.
	maxMinutes = 24 * 60
)

var errHistory = errors.New("the lines of the last hour are missing, because the gateway's answer is not as expected: " +
	"use the command of the same version as the gateway")

// history asks for the history. The error is for people.
func (p *Page) history(ctx context.Context) (*history, error) {
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	h := new(history)
	_, err := p.api.Get(ctx, "history", nil, h)
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
func (h *history) of(app string) map[string][]int {
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

// all returns the history of all apps together.
func (h *history) all() map[string][]int {
	sum := make(map[string][]int)
	for _, a := range h.Apps {
		for outcome, counts := range a.Outcomes {
			sum[outcome] = h.plus(sum[outcome], counts)
		}
	}
	return sum
}

// plus adds counts that end with the same minute. It returns one count for each minute, and takes what is out of range as none.
func (h *history) plus(sum, counts []int) []int {
	if sum == nil {
		sum = make([]int, h.Minutes)
	}
	skip := h.Minutes - len(counts)
	for i, n := range counts {
		if at := i + skip; at >= 0 {
			sum[at] += max(n, 0)
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
