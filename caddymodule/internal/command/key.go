package command

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
)

func (p *program) vapidKey() *cobra.Command {
	return p.leaf("vapid-key [<app_id>]", "Shows the keys that clients subscribe with", `Shows the application server keys (VAPID, RFC 8292) of the webpush and
unifiedpush apps: their public halves, with which clients subscribe.

With an app_id, it prints the key of the app that serves it and nothing else,
for a script or a web client's config.json. The app's pattern will do as well.`, 0, 1, showKeys)
}

func showKeys(i *invocation) error {
	query := make(url.Values)
	if len(i.args) > 0 {
		if i.args[0] == "" {
			return misuse("the app_id is empty")
		}
		query.Set("app_id", i.args[0])
	}
	c, err := i.client()
	if err != nil {
		return err
	}
	var answer admin.Keys
	raw, err := c.get(i.ctx, "keys", query, &answer)
	if err != nil {
		return err
	}
	switch {
	case i.json:
		i.raw(raw)
	case len(i.args) > 0:
		for _, k := range answer.Keys {
			i.say(plain, "%s", k.ApplicationServerKey)
		}
	case len(answer.Keys) == 0:
		i.say(plain, "No app has a key: that needs an app with webpush or unifiedpush.")
	default:
		keys := newTable("APP", "PROVIDER", "APPLICATION SERVER KEY")
		for _, k := range answer.Keys {
			keys.add(cells(k.App, k.Provider, k.ApplicationServerKey)...)
		}
		keys.write(i.out, i.style)
	}
	return nil
}
