package command

import (
	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
)

func (p *program) fuse() *cobra.Command {
	var app string
	var unknown bool
	reset := p.leaf("reset", "Resets an app's fuse", `Resets the fuse of an app. The gateway then reports dead pushkeys to homeservers
again, and retries the app's pending pushes immediately. Fix the cause first.

With --unknown-apps, it resets the fuse for devices whose app_id matches no app
in the configuration.`, 0, 0, func(i *invocation) error {
		body := map[string]string{}
		switch {
		case unknown == (app != ""):
			return misuse("set either --app or --unknown-apps")
		case !unknown:
			body["app"] = app
		}
		c, err := i.client()
		if err != nil {
			return err
		}
		var answer admin.FuseReset
		raw, err := c.Post(i.ctx, "fuses/reset", body, adminclient.LongPatience, &answer)
		switch {
		case err != nil:
			return err
		case i.json:
			i.raw(raw)
		case answer.WasTripped:
			i.say(green, "The fuse is reset. Rejections are no longer held back.")
		default:
			i.say(plain, "The fuse was not tripped. Its counters are reset.")
		}
		return nil
	})
	reset.Flags().StringVar(&app, "app", "", "Reset the fuse of the app with this pattern; write it exactly as in the configuration")
	reset.Flags().BoolVar(&unknown, "unknown-apps", false, "Reset the fuse for devices whose app_id matches no app in the configuration")
	return p.group("fuse", "Resets fuses", reset)
}
