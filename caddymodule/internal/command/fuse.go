package command

import (
	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
)

func (p *program) fuse() *cobra.Command {
	var app string
	var unknown bool
	reset := p.leaf("reset", "Has an app's rejections believed again", `Has the rejections of an app believed again, and what waits for it tried now,
after what was wrong has been corrected. With --unknown-apps, it is the fuse for
devices that no app serves.`, 0, 0, func(i *invocation) error {
		body := map[string]string{}
		switch {
		case unknown == (app != ""):
			return misuse("give either --app or --unknown-apps")
		case !unknown:
			body["app"] = app
		}
		c, err := i.client()
		if err != nil {
			return err
		}
		var answer admin.FuseReset
		raw, err := c.post(i.ctx, "fuses/reset", body, longPatience, &answer)
		switch {
		case err != nil:
			return err
		case i.json:
			i.raw(raw)
		case answer.WasTripped:
			i.say(green, "The fuse is reset: rejections are believed again.")
		default:
			i.say(plain, "The fuse was not tripped. What it had counted is forgotten.")
		}
		return nil
	})
	reset.Flags().StringVar(&app, "app", "", "The app with this pattern")
	reset.Flags().BoolVar(&unknown, "unknown-apps", false, "The fuse for devices that no app serves")
	return p.group("fuse", "Has rejections believed again", reset)
}
