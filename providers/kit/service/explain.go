package service

import (
	"cmp"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// reasons are the reasons that [Answer.Outcome] gives, with what they mean and what to do about them.
var reasons = map[string]string{
	"rate_limited":      "the push service answered with 429: pushes wait for as long as it asks",
	"refused":           "the push service refuses only this push, with 400, 415 or 422",
	"server_error":      "the push service has a problem, and answered with 5xx: the push is retried",
	"too_large":         "the push is too large for the push service",
	"unauthorized":      "the push service refuses the credentials, with 401 or 403: check them",
	"unexpected_answer": "the answer is not one that a push service gives: check the options endpoint and proxy",
}

// Explain returns what a reason of [Answer.Outcome] or [network.Failed] means and what to do about it; empty for other reasons. A
// provider's Explain may return it.
func Explain(reason string) string { return cmp.Or(reasons[reason], network.Explain(reason)) }
