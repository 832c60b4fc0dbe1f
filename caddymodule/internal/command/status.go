package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
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
	raw, err := c.Get(i.ctx, "apps", nil, &o)
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
		i.say(yellow, "- %s", i.clock().Degradation(d))
	}
	records := ""
	if o.Records != nil {
		records = fmt.Sprintf(" (%s)", describe.Count(*o.Records, "record", "records"))
	}
	i.say(plain, "Store of rejected pushkeys: %s%s. Outbox: %s.", o.Rejected, records, o.Outbox)
	i.failovers(o.Servers)
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

// failovers shows which stores have had failovers.
func (i *invocation) failovers(servers []gateway.ServersStatus) {
	for _, s := range servers {
		if sentence := i.clock().Failovers(s); sentence != "" {
			i.say(plain, "%s", sentence)
		}
	}
}

// suspected shows how many pushkeys appear to be dead, without proof yet.
func (i *invocation) suspected(apps []gateway.AppStatus) {
	for _, a := range apps {
		if sentence := describe.Suspected(a.Suspected); sentence != "" {
			fmt.Fprintln(i.out)
			i.say(plain, "app %s: %s", a.App, sentence)
		}
	}
}

// wrongKeys shows the hosts where devices subscribed with a different key than the gateway's.
func (i *invocation) wrongKeys(apps []gateway.AppStatus) {
	for _, a := range apps {
		for _, w := range a.WrongKeys {
			fmt.Fprintln(i.out)
			i.say(plain, "app %s: %s", a.App, i.clock().WrongKeys(w))
		}
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
	row := cells(a.App, a.Provider, "", describe.Breaker(a), describe.Fuse(a.Fuse), fmt.Sprint(a.InFlight), i.clock().Pending(a.Outbox),
		i.whenever(a.CredentialExpiry), i.whenever(a.LastDelivered))
	row[2] = state
	return row
}

// troubles shows why pushes were not delivered.
func (i *invocation) troubles(apps []gateway.AppStatus) {
	troubles := newTable("APP", "PROBLEM", "COUNT", "SINCE", "LAST", "UNTIL", "ACTION NEEDED", "DETAIL")
	for _, a := range apps {
		for _, t := range a.Troubles {
			row := cells(a.App, describe.WithWord(t.Reason, t.Word), fmt.Sprint(t.Count), i.when(t.Since), i.when(t.Last), i.when(t.Until), "no", t.Detail)
			if t.Alarm {
				row[1].colour, row[6] = red, cell{"yes", red}
			}
			troubles.add(row...)
		}
	}
	if len(troubles.rows) > 1 {
		fmt.Fprintln(i.out)
		troubles.write(i.out, i.style)
	}
	for n, meaning := range describe.Meanings(apps...) {
		if n == 0 {
			fmt.Fprintln(i.out)
		}
		i.say(plain, "%s: %s", meaning.Name, meaning.Value)
	}
}
