package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// The results of a check.
const (
	CheckOK = "ok"
	// CheckInUse means that a running Caddy has the store open.
	CheckInUse  = "in_use"
	checkFailed = "failed"
	// checkUnreachable means that there was no answer, so nothing is known about credentials.
	checkUnreachable = "unreachable"
	checkNothing     = "nothing_to_check"
	// checkLater means that only --live checks the store.
	checkLater = "not_checked"
)

// found returns the result without --live.
func (s *PlannedStore) found() string {
	switch {
	case s.Found != "":
		return s.Found
	case s.Check != nil:
		return checkLater
	default:
		return checkNothing
	}
}

// ask asks all push services, and the servers of the stores, at once.
func (i *invocation) ask(plan *Plan, r *report, within time.Duration) {
	i.progress.tell("Asking the push services…")
	defer i.progress.end()
	ctx, cancel := context.WithTimeout(i.ctx, within)
	defer cancel()
	var asked sync.WaitGroup
	for n, store := range []*PlannedStore{&plan.Rejected, &plan.Outbox} {
		if answer := &r.Stores[n]; store.Check != nil {
			asked.Go(func() { answer.Check, answer.Error = result(store.Check(ctx), outbox.ErrUnreachable, within) })
		}
		if answer := &r.Stores[n]; store.Describe != nil {
			asked.Go(func() { answer.Servers = store.Describe(ctx) })
		}
	}
	for n := range plan.Apps {
		app, check := &r.Apps[n], plan.Apps[n].Check
		if check == nil {
			app.Live = checkNothing
			continue
		}
		asked.Go(func() { app.Live, app.LiveError = result(check(ctx), providers.ErrUnreachable, within) })
	}
	asked.Wait()
}

// result returns the result of a check, and what is wrong.
func result(err, unreachable error, within time.Duration) (result, problem string) {
	switch {
	case err == nil:
		return CheckOK, ""
	case errors.Is(err, unreachable), errors.Is(err, rejected.ErrUnreachable):
		return checkUnreachable, err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return checkUnreachable, fmt.Sprintf("%v: no answer within %s", unreachable, within)
	default:
		return checkFailed, err.Error()
	}
}

// problems returns what --live found, in a sentence; empty if all is well.
func (r *report) problems() string {
	var failed, silent, list []string
	for _, s := range r.Stores {
		switch s.Check {
		case checkFailed:
			list = append(list, "the check of "+s.name()+" failed")
		case checkUnreachable:
			list = append(list, "the server of "+s.name()+" cannot be reached")
		}
	}
	for _, app := range r.Apps {
		switch app.Live {
		case checkFailed:
			failed = append(failed, app.App)
		case checkUnreachable:
			silent = append(silent, app.App)
		}
	}
	if len(failed) > 0 {
		list = append(list, "the check of the credentials failed for: "+strings.Join(failed, ", "))
	}
	if len(silent) > 0 {
		list = append(list, "the push service cannot be reached, so the credentials were not checked for: "+strings.Join(silent, ", "))
	}
	return strings.Join(list, "; ")
}

// name returns what the store is called in a sentence.
func (s *storeReport) name() string {
	if s.Store == "rejected" {
		return "the rejected store"
	}
	return "the outbox"
}

// text returns the name of the store's module with the result.
func (s *storeReport) text(module string) string {
	if said := map[string]string{
		CheckOK: "ok", CheckInUse: "in use by a running Caddy", checkFailed: "failed", checkUnreachable: "cannot be reached",
		checkLater: "checked only with --live",
	}[s.Check]; said != "" {
		return module + " (" + said + ")"
	}
	return module
}
