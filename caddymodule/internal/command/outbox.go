package command

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

func (p *program) outbox() *cobra.Command {
	return p.group("outbox", "Lists, retries, drops or moves pending pushes", p.outboxList(), p.outboxRetry(), p.outboxDrop(), p.outboxMoveShards())
}

func (p *program) outboxList() *cobra.Command {
	var app string
	var limit int
	cmd := p.leaf("list", "Counts the pending pushes of each app, or lists those of one app", "", 0, 0, func(i *invocation) error {
		if limit < 0 {
			return misuse("--limit cannot be negative")
		}
		c, err := i.client()
		if err != nil {
			return err
		}
		if app == "" {
			return listDepths(i, c)
		}
		return listEntries(i, c, app, limit)
	})
	cmd.Flags().StringVar(&app, "app", "", "List the pending pushes of the app with this pattern")
	cmd.Flags().IntVar(&limit, "limit", 0, "The maximum number of pushes to list; 0 for all")
	return cmd
}

func listDepths(i *invocation, c *adminclient.Client) error {
	var answer admin.Depths
	raw, err := c.Get(i.ctx, "outbox", nil, &answer)
	switch {
	case err != nil:
		return err
	case i.json:
		i.raw(raw)
		return nil
	}
	if sentence := describe.Unreadable(answer.Unreadable); sentence != "" {
		i.say(yellow, "%s", sentence)
	}
	if len(answer.Apps) == 0 {
		i.say(plain, "There are no pending pushes.")
		return nil
	}
	t := newTable("APP", "ENTRIES", "DEVICES", "OLDEST", "CONFIGURED")
	for _, d := range answer.Apps {
		configured := cell{"yes", plain}
		if !d.Configured {
			configured = cell{"no", yellow}
		}
		t.add(append(cells(d.App, fmt.Sprint(d.Entries), fmt.Sprint(d.Devices), i.when(d.Oldest)), configured)...)
	}
	t.write(i.out, i.style)
	return nil
}

func listEntries(i *invocation, c *adminclient.Client, app string, limit int) error {
	all := admin.Entries{Entries: []admin.Entry{}}
	defer i.progress.end()
	for {
		query := url.Values{"app": {app}, "limit": {fmt.Sprint(pageSize)}}
		set(query, "cursor", all.Next)
		var page admin.Entries
		if _, err := c.Get(i.ctx, "outbox", query, &page); err != nil {
			return err
		}
		all.Entries, all.Next, all.Configured = append(all.Entries, page.Entries...), page.Next, page.Configured
		if all.Next == "" || limit > 0 && len(all.Entries) >= limit {
			break
		}
		i.progress.tell("%s so far…", describe.Count(len(all.Entries), "entry", "entries"))
	}
	i.progress.end()
	if all.Next = ""; limit > 0 && len(all.Entries) > limit {
		all.Entries = all.Entries[:limit]
	}
	if i.json {
		return i.encode(all)
	}
	if len(all.Entries) == 0 {
		i.say(plain, "There are no pending pushes for %s.", app)
		return nil
	}
	t := newTable("ID", "PUSHKEY HASH", "KIND", "SIZE", "ACCEPTED", "EXPIRES", "DUE", "ATTEMPTS")
	for _, e := range all.Entries {
		kind, due := describe.Kind(e.Badge, e.Wake), i.when(e.Due)
		if e.Running {
			due = "in progress"
		}
		t.add(cells(e.ID, e.PushkeyHash, kind, fmt.Sprint(e.Size), i.when(e.Accepted), i.when(e.Expires), due, fmt.Sprint(e.Attempts))...)
	}
	t.write(i.out, i.style)
	i.unconfigured(app, all.Configured)
	return nil
}

func (p *program) outboxRetry() *cobra.Command {
	var app, hash string
	cmd := p.leaf("retry", "Immediately retries the pending pushes of an app or a device", "", 0, 0, func(i *invocation) error {
		if app == "" {
			return misuse("--app is missing")
		}
		c, err := i.client()
		if err != nil {
			return err
		}
		body := map[string]string{"app": app}
		if hash != "" {
			body["hash"] = hash
		}
		var answer admin.Retried
		raw, err := c.Post(i.ctx, "outbox/retry", body, adminclient.LongPatience, &answer)
		switch {
		case err != nil:
			return err
		case i.json:
			i.raw(raw)
		case !answer.Configured:
			i.say(yellow, "The app %s is not configured. Its pending pushes will be retried if you configure it again before they expire.",
				answer.App)
		case answer.PushkeyHash != "":
			i.say(green, "Retrying the pending pushes of %s now.", answer.PushkeyHash)
		default:
			i.say(green, "Retrying the pending pushes of the app %s now.", answer.App)
		}
		return nil
	})
	cmd.Flags().StringVar(&app, "app", "", "Retry pushes of the app with this pattern; write it exactly as in the configuration")
	cmd.Flags().StringVar(&hash, "hash", "", "Retry only the pushes of the device with this hash; a unique prefix is enough")
	return cmd
}

func (p *program) outboxDrop() *cobra.Command {
	var app, hash, id string
	var all bool
	cmd := p.leaf("drop", "Drops the pending pushes of a device or an app",
		`Drops one pending push of a device, all pending pushes of a device, or all pending
pushes of an app. Dropped pushes are lost: the homeserver does not send them
again. A push that is being sent is not dropped.`, 0, 0, func(i *invocation) error {
			switch {
			case app == "":
				return misuse("--app is missing")
			case all && (hash != "" || id != ""):
				return misuse("--all cannot be used together with --hash or --id")
			case !all && hash == "":
				return misuse("--hash or --all is missing: set one of them")
			}
			return drop(i, admin.DropRequest{App: app, Hash: hash, ID: id, All: all})
		})
	cmd.Flags().StringVar(&app, "app", "", "Drop pushes of the app with this pattern; write it exactly as in the configuration")
	cmd.Flags().StringVar(&hash, "hash", "", "Drop the pushes of the device with this hash; a unique prefix is enough")
	cmd.Flags().StringVar(&id, "id", "", "Drop only the push with this ID; needs --hash")
	cmd.Flags().BoolVar(&all, "all", false, "Drop all pending pushes of the app")
	return cmd
}

func drop(i *invocation, body admin.DropRequest) error {
	c, err := i.client()
	if err != nil {
		return err
	}
	total := admin.Dropped{App: body.App}
	defer i.progress.end()
	for {
		var answer admin.Dropped
		if _, err := c.Post(i.ctx, "outbox/drop", body, adminclient.LongPatience, &answer); err != nil {
			return err
		}
		total.PushkeyHash, total.Dropped, total.Configured = answer.PushkeyHash, total.Dropped+answer.Dropped, answer.Configured
		if body.Cursor = answer.Next; body.Cursor == "" {
			break
		}
		i.progress.tell("%s dropped so far…", describe.Count(total.Dropped, "entry", "entries"))
	}
	i.progress.end()
	if i.json {
		return i.encode(total)
	}
	i.say(green, "%s dropped.", describe.Count(total.Dropped, "entry", "entries"))
	i.unconfigured(body.App, total.Configured)
	return nil
}
