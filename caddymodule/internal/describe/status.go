package describe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// Degradation describes what needs attention.
func (c Clock) Degradation(d gateway.Degradation) string {
	of := "app " + d.App
	if d.App == "" {
		of = "devices of unknown apps"
	}
	switch d.Reason {
	case "failing":
		to := ""
		if d.Host != "" {
			to = " to your push server " + d.Host
		}
		return of + ": no push has been delivered" + to + " and all recent attempts have failed since " + c.Whenever(d.Since) +
			because(d.Detail, d.Error)
	case "breaker_open":
		return of + ": the breaker is open because the push service is failing"
	case "fuse_tripped":
		return of + ": the fuse tripped because too many pushkeys were rejected; rejections have been held back since " + c.Whenever(d.Since)
	case "credential_expired":
		return of + ": the credential expired on " + c.Whenever(d.Since)
	case "misconfigured":
		return of + ": the push service has refused the configuration since " + c.Whenever(d.Since) + ": " + WithWord(d.Detail, d.Word)
	case "outbox_full":
		return of + ": the outbox is full and refuses new pushes"
	case "component_down":
		return "XMPP component " + d.Component + ": not connected since " + c.Whenever(d.Since) + because(d.Detail, d.Explanation)
	case "outbox_unconfirmed":
		return "Redis has not confirmed pushes since " + c.Whenever(d.Since) + because(d.Error, "") +
			"; pushes that cannot be delivered at once are answered with 503"
	case "outbox_unreadable":
		return "the outbox cannot be read" + because(d.Detail, "")
	default:
		return of + ": " + d.Reason
	}
}

// because returns the reason of a failure and its description, after a colon.
func because(reason, description string) string {
	switch {
	case reason == "":
		return ""
	case description == "":
		return ": " + reason
	default:
		return ": " + reason + " (" + description + ")"
	}
}

// WithWord adds the push service's own reason to a reason.
func WithWord(reason, word string) string {
	if word == "" {
		return reason
	}
	return reason + " (" + word + ")"
}

// withDetail adds a detail to a reason.
func withDetail(reason, detail string) string {
	if detail == "" {
		return reason
	}
	return reason + ": " + detail
}

// Failovers describes what happened to the servers of a store; empty if nothing did.
func (c Clock) Failovers(s gateway.ServersStatus) string {
	if s.Failovers == 0 {
		return ""
	}
	name := "the outbox"
	if s.Store == "rejected" {
		name = "the rejected store"
	}
	return fmt.Sprintf("The servers of %s have had %s, the latest at %s.", name,
		Count(s.Failovers, "failover or restart", "failovers or restarts"), c.When(s.LastFailover))
}

// Suspected describes how many pushkeys of an app appear to be dead, without proof yet; empty if none do.
func Suspected(n int) string {
	if n == 0 {
		return ""
	}
	return Count(n, "pushkey is", "pushkeys are") +
		" suspected to be dead: the push server, or a proxy in front of it, answered 404. Pushes stay pending until the next check."
}

// WrongKeys describes a host where devices subscribed with a different key than the gateway's.
func (c Clock) WrongKeys(w gateway.WrongKeys) string {
	host := w.Host
	if host == "" {
		host = "the push service"
	}
	were, them := "were", "them"
	if w.Devices == 1 {
		were, them = "was", "it"
	}
	todo := "Restore that key. If it is lost, these clients must subscribe again."
	if w.Accepted {
		todo = "These clients must subscribe again: other subscriptions at this host have the right key."
	}
	return fmt.Sprintf("%s at %s %s made for another VAPID key. Pushes to %s have failed since %s. %s",
		Count(w.Devices, "subscription", "subscriptions"), host, were, them, c.When(w.Since), todo)
}

// Breaker describes the breaker of an app, or those of its hosts.
func Breaker(a gateway.AppStatus) string {
	if a.Breaker != "" {
		return a.Breaker
	}
	var hosts []string
	if a.OpenHosts > 0 {
		hosts = append(hosts, Count(a.OpenHosts, "host open", "hosts open"))
	}
	if a.PausedHosts > 0 {
		hosts = append(hosts, Count(a.PausedHosts, "host paused", "hosts paused"))
	}
	if len(hosts) == 0 {
		return "closed"
	}
	return strings.Join(hosts, ", ")
}

// Fuse describes the state of a fuse.
func Fuse(f gateway.FuseStatus) string {
	if f.Tripped == nil {
		return "ok"
	}
	where := ""
	if len(f.Hosts) > 0 {
		where = " for " + Count(len(f.Hosts), "host", "hosts")
	}
	return fmt.Sprintf("tripped%s (%d of %d dead)", where, f.Dead, f.Pushkeys)
}

// Pending describes how many pushes are pending; empty if that is not known.
func (c Clock) Pending(o *gateway.OutboxStatus) string {
	if o == nil {
		return ""
	}
	text := fmt.Sprint(o.Entries)
	if o.Oldest != nil {
		text += fmt.Sprintf(" (oldest %s)", Relative(o.Oldest.Sub(c())))
	}
	if o.Unreadable != "" {
		text += ", partly unreadable"
	}
	return text
}

// Unreadable describes that parts of the outbox cannot be read; empty if all can.
func Unreadable(parts string) string {
	if parts == "" {
		return ""
	}
	return "A part of the outbox cannot be read, and its pushes are not counted: " + parts + "."
}

// Meanings explains the reasons of the apps' troubles, each once.
func Meanings(apps ...gateway.AppStatus) (meanings []Fact) {
	for _, a := range apps {
		for _, t := range a.Troubles {
			if f := (Fact{t.Reason, t.Explanation}); t.Explanation != "" && !slices.Contains(meanings, f) {
				meanings = append(meanings, f)
			}
		}
	}
	return meanings
}
