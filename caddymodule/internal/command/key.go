package command

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
)

func (p *program) vapidKey() *cobra.Command {
	return p.leaf("vapid-key [<app_id>]", "Shows the public keys that clients subscribe with",
		`Shows the application server keys (VAPID, RFC 8292) of the webpush and
unifiedpush apps. Clients subscribe with these public keys.

With an app_id or an app's pattern, it prints that app's key and nothing else, for
use in a script or in a web client's config.json.`, 0, 1, showKeys)
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
	raw, err := c.Get(i.ctx, "keys", query, &answer)
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
		i.say(plain, "None of the configured apps has a key: only webpush and unifiedpush apps have one.")
	default:
		keys := newTable("APP", "PROVIDER", "APPLICATION SERVER KEY")
		for _, k := range answer.Keys {
			keys.add(cells(k.App, k.Provider, k.ApplicationServerKey)...)
		}
		keys.write(i.out, i.style)
	}
	return nil
}
