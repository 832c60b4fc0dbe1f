package command

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/node"
)

func (p *program) xmpp() *cobra.Command {
	keys := p.leaf("keys", "Shows the keys of the nodes of XMPP components",
		`Shows the names of the keys with which XMPP components make and open the nodes
of registrations. It never shows the keys themselves.`, 0, 0, showNodeKeys)
	rotate := p.leaf("rotate-keys <component>", "Makes a new key for the nodes of an XMPP component",
		`Makes a new key for the nodes of an XMPP component. From then on, clients get
nodes that are made with the new key. Nodes that were made with the previous key
still work. Nodes with older keys stop working, and the XMPP servers delete these
registrations.

Don't rotate the keys more often than every few months, so all clients register
again before their key is retired.`, 1, 1, rotateNodeKeys)
	return p.group("xmpp", "Manages the keys of XMPP components", keys, rotate)
}

func showNodeKeys(i *invocation) error {
	c, err := i.client()
	if err != nil {
		return err
	}
	var answer admin.NodeKeys
	raw, err := c.Get(i.ctx, "xmpp/keys", nil, &answer)
	switch {
	case err != nil:
		return err
	case i.json:
		i.raw(raw)
	case len(answer.Components) == 0:
		i.say(plain, "None of the components has keys, because they only relay Push 2.0.")
	default:
		i.nodeKeys(answer.Components...)
	}
	return nil
}

func rotateNodeKeys(i *invocation) error {
	c, err := i.client()
	if err != nil {
		return err
	}
	var answer admin.ComponentKeys
	raw, err := c.Post(i.ctx, "xmpp/keys/rotate", map[string]string{"component": i.args[0]}, adminclient.LongPatience, &answer)
	switch {
	case err != nil:
		return err
	case i.json:
		i.raw(raw)
	default:
		i.say(green, "New nodes are made with a new key.")
		i.nodeKeys(answer)
	}
	return nil
}

// nodeKeys shows the keys of components.
func (i *invocation) nodeKeys(components ...admin.ComponentKeys) {
	keys := newTable("COMPONENT", "KEY", "MADE", "STATE")
	for _, c := range components {
		for n, k := range c.Keys {
			keys.add(cells(c.Component, k.ID, i.when(k.Made), keyState(n, k, i.when))...)
		}
	}
	keys.write(i.out, i.style)
}

// keyState returns what a key is for.
func keyState(n int, k node.Key, when func(time.Time) string) string {
	switch {
	case !k.Retired.IsZero():
		return "retired " + when(k.Retired)
	case n == 0:
		return "makes nodes"
	default:
		return "opens nodes"
	}
}

// components shows the XMPP components, and why their pushes were refused.
func (i *invocation) components(all []telemetry.ComponentStatus) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(i.out)
	table := newTable("XMPP COMPONENT", "STATE", "SINCE", "REASON")
	alarms := newTable("XMPP COMPONENT", "PUSHES REFUSED", "COUNT", "LAST", "LATEST SENDER")
	for _, c := range all {
		row := cells(c.Component, "", i.when(c.Since), c.Reason)
		row[1] = cell{"up", green}
		if !c.Up {
			row[1] = cell{"down", yellow}
		}
		table.add(row...)
		for _, a := range c.Alarms {
			alarms.add(cells(c.Component, string(a.Reason), fmt.Sprint(a.Count), i.when(a.Last), a.Domain)...)
		}
	}
	table.write(i.out, i.style)
	if len(alarms.rows) == 1 {
		return
	}
	fmt.Fprintln(i.out)
	alarms.write(i.out, i.style)
	fmt.Fprintln(i.out)
	said := make(map[telemetry.Alarm]bool)
	for _, c := range all {
		for _, a := range c.Alarms {
			if !said[a.Reason] {
				said[a.Reason] = true
				i.say(plain, "%s: %s", a.Reason, a.Hint)
			}
		}
	}
}
