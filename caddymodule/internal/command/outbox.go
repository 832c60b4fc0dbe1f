package command

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
)

func (p *program) outbox() *cobra.Command {
	return p.group("outbox", "Shows what waits in the outbox, has it tried now, or gives it up", p.outboxList(), p.outboxRetry(), p.outboxDrop())
}

func (p *program) outboxList() *cobra.Command {
	var app string
	var limit int
	cmd := p.leaf("list", "Lists how much waits for each app, or what waits for one", "", 0, 0, func(i *invocation) error {
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
	cmd.Flags().StringVar(&app, "app", "", "What waits for the app with this pattern")
	cmd.Flags().IntVar(&limit, "limit", 0, "At most so many of an app's; 0 for all")
	return cmd
}

func listDepths(i *invocation, c *client) error {
	var answer admin.Depths
	raw, err := c.get(i.ctx, "outbox", nil, &answer)
	switch {
	case err != nil:
		return err
	case i.json:
		i.raw(raw)
		return nil
	case len(answer.Apps) == 0:
		i.say(plain, "Nothing waits.")
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

func listEntries(i *invocation, c *client, app string, limit int) error {
	all := admin.Entries{Entries: []admin.Entry{}}
	defer i.progress.end()
	for {
		query := url.Values{"app": {app}, "limit": {fmt.Sprint(pageSize)}}
		set(query, "cursor", all.Next)
		var page admin.Entries
		if _, err := c.get(i.ctx, "outbox", query, &page); err != nil {
			return err
		}
		all.Entries, all.Next = append(all.Entries, page.Entries...), page.Next
		if all.Next == "" || limit > 0 && len(all.Entries) >= limit {
			break
		}
		i.progress.tell("%s so far…", count(len(all.Entries), "entry", "entries"))
	}
	i.progress.end()
	if all.Next = ""; limit > 0 && len(all.Entries) > limit {
		all.Entries = all.Entries[:limit]
	}
	if i.json {
		return i.encode(all)
	}
	if len(all.Entries) == 0 {
		i.say(plain, "Nothing waits for %s.", app)
		return nil
	}
	t := newTable("ID", "PUSHKEY HASH", "KIND", "SIZE", "ACCEPTED", "EXPIRES", "DUE", "ATTEMPTS")
	for _, e := range all.Entries {
		kind, due := "alert", i.when(e.Due)
		if e.Badge {
			kind = "badge"
		}
		if e.Running {
			due = "under way"
		}
		t.add(cells(e.ID, e.PushkeyHash, kind, fmt.Sprint(e.Size), i.when(e.Accepted), i.when(e.Expires), due, fmt.Sprint(e.Attempts))...)
	}
	t.write(i.out, i.style)
	return nil
}

func (p *program) outboxRetry() *cobra.Command {
	var app, hash string
	cmd := p.leaf("retry", "Has all that waits for an app, or one device of it, tried now", "", 0, 0, func(i *invocation) error {
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
		raw, err := c.post(i.ctx, "outbox/retry", body, longPatience, &answer)
		switch {
		case err != nil:
			return err
		case i.json:
			i.raw(raw)
		case !answer.Configured:
			i.say(yellow, "The app %s is not configured: what waits for it is tried when it comes back, until it expires.", answer.App)
		case answer.PushkeyHash != "":
			i.say(green, "What waits for %s is tried now.", answer.PushkeyHash)
		default:
			i.say(green, "What waits for the app %s is tried now.", answer.App)
		}
		return nil
	})
	cmd.Flags().StringVar(&app, "app", "", "The app with this pattern")
	cmd.Flags().StringVar(&hash, "hash", "", "Only the device with this hash, or the beginning of it")
	return cmd
}

func (p *program) outboxDrop() *cobra.Command {
	var app, hash, id string
	var all bool
	cmd := p.leaf("drop", "Gives up what waits for a device, or for all of an app", `Gives up what waits for a device of an app, one entry of it, or all that waits
for the app. It was answered for: nobody sends it again. An entry at which an
attempt is under way stays.`, 0, 0, func(i *invocation) error {
		switch {
		case app == "":
			return misuse("--app is missing")
		case all && (hash != "" || id != ""):
			return misuse("--all cannot be given together with --hash or --id")
		case !all && hash == "":
			return misuse("--hash or --all is missing")
		}
		return drop(i, dropBody{App: app, Hash: hash, ID: id, All: all})
	})
	cmd.Flags().StringVar(&app, "app", "", "The app with this pattern")
	cmd.Flags().StringVar(&hash, "hash", "", "The device with this hash, or the beginning of it")
	cmd.Flags().StringVar(&id, "id", "", "Only the device's entry with this ID")
	cmd.Flags().BoolVar(&all, "all", false, "All that waits for the app")
	return cmd
}

type dropBody struct {
	App    string `json:"app"`
	Hash   string `json:"hash,omitempty"`
	ID     string `json:"id,omitempty"`
	All    bool   `json:"all,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

func drop(i *invocation, body dropBody) error {
	c, err := i.client()
	if err != nil {
		return err
	}
	total := admin.Dropped{App: body.App}
	defer i.progress.end()
	for {
		var answer admin.Dropped
		if _, err := c.post(i.ctx, "outbox/drop", body, longPatience, &answer); err != nil {
			return err
		}
		total.PushkeyHash, total.Dropped = answer.PushkeyHash, total.Dropped+answer.Dropped
		if body.Cursor = answer.Next; body.Cursor == "" {
			break
		}
		i.progress.tell("%s dropped so far…", count(total.Dropped, "entry", "entries"))
	}
	i.progress.end()
	if i.json {
		return i.encode(total)
	}
	i.say(green, "%s dropped.", count(total.Dropped, "entry", "entries"))
	return nil
}
