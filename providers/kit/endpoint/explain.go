package endpoint

import (
	"cmp"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

const (
	dead   = "the push server reports that the endpoint is dead: the client must register again"
	failed = "the push server has a problem: the push is retried"
	wait   = "the push server asks to wait: the push is retried"
)

// reasons are the reasons that [Outcome] and [Failed] give, with what they mean and what to do about them.
var reasons = map[string]string{
	"gone":      dead,
	"not_found": "the push server does not know the endpoint (404): the client must register again, or a proxy gives the wrong answer",

	"bad_endpoint": "the endpoint is not an https URL that a push server can have: correct it in the client",
	"blocked":      "your settings don't allow this address or port: put your push server on the gateway's own site, or use allow_private",
	"own_path":     "own_paths does not list the endpoint's path on this site: add the path if pushes may go there",

	"vapid_key_mismatch": "the subscription was made for another VAPID key: restore that key, or the client must subscribe again",
	"vapid_refused":      "the push server refuses the VAPID token: check the server's clock, vapid_subject and vapid_key_file",
	"sender_blocked":     "Microsoft's push service blocks your domain: ask Microsoft to unblock it",
	"no_such_page":       "ntfy has no topics at the endpoint's path: check whether a proxy in front of ntfy changes paths",
	"http_401":           "the push server requires a login, or refuses the VAPID token: check its access list, the clock and vapid_subject",
	"http_403":           "the push server refuses the sender or the VAPID token: check its access list, the clock and vapid_subject",

	"rate_limited":  "the push server answered with 429: exempt the gateway from the rate limits if the server is yours",
	"throttled":     wait,
	"not_delivered": "the device is offline or accepts no notifications, so the push server dropped the push: it is sent three times at most",
	"no_subscriber": "ntfy's topic has no subscriber at the moment (507): the phone's app must connect to the push server",
	"redirect":      "the push server answered with a redirect, which is never followed: correct the push server's address in the client",
	"server_error":  failed,

	"refused":      "the push server refuses this message, but not the endpoint",
	TooLarge:       "the message is too large for the push server, even in its smallest form",
	"host_busy":    "too many other pushes to this push server wait to be sent: the push is retried",
	"address_busy": "the limit of connections to the push server's address is reached: the push is retried",

	"dns":     "the push server's name does not exist, or could not be resolved: check it, and the server's DNS resolver",
	"network": "the push server cannot be reached: check that it runs, the firewall and the option proxy",
	"timeout": "the push server did not answer in time: check that it runs, the firewall and the option proxy",
}

// Explain returns what a reason of [Outcome] or [Failed] means and what to do about it; empty for other reasons. A provider's Explain may
// return it.
func Explain(reason string) string {
	if means := cmp.Or(reasons[reason], network.Explain(reason)); means != "" || !strings.HasPrefix(reason, "http_") {
		return means
	}
	return wait
}
