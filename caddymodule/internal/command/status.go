package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

func (p *program) status() *cobra.Command {
	cmd := p.leaf("status", "Shows the state of the gateway and its apps",
		`Shows the state of the gateway and its apps. It does not contact any push
service.

Exits with 0 if the gateway is ready, even if something needs attention. With
--strict, exits with 3 if something needs attention. Exits with 1 if no gateway
runs at the address, or if it is still starting. You can use the command as a
container's health check.`, 0, 0, showStatus)
	cmd.Flags().BoolVar(&p.strict, "strict", false, "Exit with 3 if something needs attention")
	return cmd
}

func showStatus(i *invocation) error {
	c, err := i.client()
	if err != nil {
		return err
	}
	var o admin.Overview
	raw, err := c.get(i.ctx, "apps", nil, &o)
	if err != nil {
		return err
	}
	if i.json {
		i.raw(raw)
	} else {
		i.overview(o)
	}
	if i.strict && o.Status != admin.Ready {
		return errFound
	}
	return nil
}

func (i *invocation) overview(o admin.Overview) {
	if o.Status == admin.Ready {
		i.say(green, "The gateway is ready.")
	} else {
		i.say(yellow, "The gateway is ready, but something needs attention:")
	}
	for _, d := range o.Degraded {
		i.say(yellow, "- %s", i.degradation(d))
	}
	records := ""
	if o.Records != nil {
		records = fmt.Sprintf(" (%s)", count(*o.Records, "record", "records"))
	}
	i.say(plain, "Store of rejected pushkeys: %s%s. Outbox: %s.", o.Rejected, records, o.Outbox)
	i.refused(o.Refused)
	fmt.Fprintln(i.out)
	apps := newTable("APP", "PROVIDER", "STATE", "BREAKER", "FUSE", "IN FLIGHT", "OUTBOX", "CREDENTIAL EXPIRES", "LAST DELIVERED")
	for _, a := range o.Apps {
		apps.add(i.app(a, o.Degraded)...)
	}
	apps.write(i.out, i.style)
	i.suspected(o.Apps)
	i.wrongKeys(o.Apps)
	i.troubles(o.Apps)
	i.components(o.Components)
}

// suspected shows how many pushkeys appear to be dead, without proof yet.
func (i *invocation) suspected(apps []gateway.AppStatus) {
	for _, a := range apps {
		if a.Suspected > 0 {
			fmt.Fprintln(i.out)
			i.say(plain, "app %s: %s suspected to be dead: the push server, or a proxy in front of it, answered 404. Pushes stay pending until the next check.",
				a.App, count(a.Suspected, "pushkey is", "pushkeys are"))
		}
	}
}

// wrongKeys shows the hosts where devices subscribed with a different key than the gateway's.
func (i *invocation) wrongKeys(apps []gateway.AppStatus) {
	for _, a := range apps {
		for _, w := range a.WrongKeys {
			host := w.Host
			if host == "" {
				host = "the push service"
			}
			were, them := "were", "them"
			if w.Devices == 1 {
				were, them = "was", "it"
			}
			fmt.Fprintln(i.out)
			todo := "Restore that key. If it is lost, these clients must subscribe again."
			if w.Accepted {
				todo = "These clients must subscribe again: other subscriptions at this host have the right key."
			}
			i.say(plain, "app %s: %s at %s %s made for another VAPID key. Pushes to %s have failed since %s. %s",
				a.App, count(w.Devices, "subscription", "subscriptions"), host, were, them, i.when(w.Since), todo)
		}
	}
}

// withWord adds the push service's own reason to a reason.
func withWord(reason, word string) string {
	if word == "" {
		return reason
	}
	return reason + " (" + word + ")"
}

// degradation describes what needs attention.
func (i *invocation) degradation(d gateway.Degradation) string {
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
		return of + ": no push has been delivered" + to + " and all recent attempts have failed since " + i.whenever(d.Since) +
			because(d.Detail, d.Error)
	case "breaker_open":
		return of + ": the breaker is open because the push service is failing"
	case "fuse_tripped":
		return of + ": the fuse tripped because too many pushkeys were rejected; rejections have been held back since " + i.whenever(d.Since)
	case "credential_expired":
		return of + ": the credential expired on " + i.whenever(d.Since)
	case "misconfigured":
		return of + ": the push service has refused the configuration since " + i.whenever(d.Since) + ": " + withWord(d.Detail, d.Word)
	case "outbox_full":
		return of + ": the outbox is full and refuses new pushes"
	case "component_down":
		return "XMPP component " + d.Component + ": not connected since " + i.whenever(d.Since) + because(d.Detail, d.Explanation)
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

// app returns the row of an app.
func (i *invocation) app(a gateway.AppStatus, degraded []gateway.Degradation) []cell {
	state := cell{"ok", green}
	for _, d := range degraded {
		if d.App == a.App {
			state = cell{"degraded", yellow}
		}
	}
	row := cells(a.App, a.Provider, "", breaker(a), i.fuseState(a.Fuse), fmt.Sprint(a.InFlight), i.waiting(a.Outbox),
		i.whenever(a.CredentialExpiry), i.whenever(a.LastDelivered))
	row[2] = state
	return row
}

func breaker(a gateway.AppStatus) string {
	if a.Breaker != "" {
		return a.Breaker
	}
	var hosts []string
	if a.OpenHosts > 0 {
		hosts = append(hosts, count(a.OpenHosts, "host open", "hosts open"))
	}
	if a.PausedHosts > 0 {
		hosts = append(hosts, count(a.PausedHosts, "host paused", "hosts paused"))
	}
	if len(hosts) == 0 {
		return "closed"
	}
	return strings.Join(hosts, ", ")
}

func (i *invocation) fuseState(f gateway.FuseStatus) string {
	if f.Tripped == nil {
		return "ok"
	}
	where := ""
	if len(f.Hosts) > 0 {
		where = " for " + count(len(f.Hosts), "host", "hosts")
	}
	return fmt.Sprintf("tripped%s (%d of %d dead)", where, f.Dead, f.Pushkeys)
}

func (i *invocation) waiting(o *gateway.OutboxStatus) string {
	switch {
	case o == nil:
		return ""
	case o.Oldest == nil:
		return fmt.Sprint(o.Entries)
	default:
		return fmt.Sprintf("%d (oldest %s)", o.Entries, relative(o.Oldest.Sub(i.now())))
	}
}

// troubles shows why pushes were not delivered.
func (i *invocation) troubles(apps []gateway.AppStatus) {
	troubles := newTable("APP", "PROBLEM", "COUNT", "SINCE", "LAST", "UNTIL", "ACTION NEEDED", "DETAIL")
	for _, a := range apps {
		for _, t := range a.Troubles {
			row := cells(a.App, withWord(t.Reason, t.Word), fmt.Sprint(t.Count), i.when(t.Since), i.when(t.Last), i.when(t.Until), "no", t.Detail)
			if t.Alarm {
				row[1].colour, row[6] = red, cell{"yes", red}
			}
			troubles.add(row...)
		}
	}
	if len(troubles.rows) > 1 {
		fmt.Fprintln(i.out)
		troubles.write(i.out, i.style)
		i.meanings(apps)
	}
}

// meanings explains the reasons of the apps' troubles, each once.
func (i *invocation) meanings(apps []gateway.AppStatus) {
	said := make(map[string]bool)
	for _, a := range apps {
		for _, t := range a.Troubles {
			line := t.Reason + ": " + t.Explanation
			if t.Explanation == "" || said[line] {
				continue
			}
			if len(said) == 0 {
				fmt.Fprintln(i.out)
			}
			said[line] = true
			i.say(plain, "%s", line)
		}
	}
}
