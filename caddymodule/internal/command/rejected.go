package command

import (
	"cmp"
	"fmt"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

func (p *program) rejected() *cobra.Command {
	return p.group("rejected", "Lists, explains or forgets dead and suspected pushkeys",
		p.rejectedList(), p.rejectedExplain(), p.rejectedForget())
}

func (p *program) rejectedList() *cobra.Command {
	var app, state, prefix string
	var limit int
	cmd := p.leaf("list", "Lists the hashes of dead and suspected pushkeys", "", 0, 0, func(i *invocation) error {
		switch state {
		case "", admin.StateDead, admin.StateSuspected:
		default:
			return misuse("--state must be %s or %s", admin.StateDead, admin.StateSuspected)
		}
		if limit < 0 {
			return misuse("--limit cannot be negative")
		}
		if err := admin.CheckPrefix(prefix); err != nil {
			return misuse("--prefix %w", err)
		}
		return listRejected(i, app, state, prefix, limit)
	})
	cmd.Flags().StringVar(&app, "app", "", "List only pushkeys of the app with this pattern")
	cmd.Flags().StringVar(&state, "state", "", "List only pushkeys in this state: dead or suspected")
	cmd.Flags().StringVar(&prefix, "prefix", "", "List only pushkeys whose hash starts with this prefix")
	cmd.Flags().IntVar(&limit, "limit", 0, "The maximum number of records to list; 0 for all")
	return cmd
}

// pageSize is how many entries a request asks for.
const pageSize = 1000

func listRejected(i *invocation, app, state, prefix string, limit int) error {
	c, err := i.client()
	if err != nil {
		return err
	}
	all := admin.Records{Records: []gateway.RecordStatus{}}
	defer i.progress.end()
	for {
		query := url.Values{"limit": {fmt.Sprint(pageSize)}}
		set(query, "app", app)
		set(query, "state", state)
		set(query, "prefix", prefix)
		set(query, "cursor", all.Next)
		var page admin.Records
		if _, err := c.Get(i.ctx, "rejected", query, &page); err != nil {
			return err
		}
		all.Records, all.Next, all.Configured = append(all.Records, page.Records...), page.Next, page.Configured
		if all.Next == "" || limit > 0 && len(all.Records) >= limit {
			break
		}
		i.progress.tell("%s so far…", describe.Count(len(all.Records), "record", "records"))
	}
	i.progress.end()
	if all.Next = ""; limit > 0 && len(all.Records) > limit {
		all.Records = all.Records[:limit]
	}
	if i.json {
		return i.encode(all)
	}
	i.records(all.Records, state)
	i.unconfigured(app, all.Configured)
	return nil
}

// unconfigured says so if an app is not configured, although there is something to show about it.
func (i *invocation) unconfigured(app string, configured *bool) {
	if configured != nil && !*configured {
		i.say(yellow, "The app %s is not configured.", app)
	}
}

// set sets a parameter unless it is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// records shows records: those in one state, or all if it is empty.
func (i *invocation) records(records []gateway.RecordStatus, only string) {
	if len(records) == 0 {
		i.say(plain, "No pushkey is recorded as %s.", cmp.Or(only, admin.StateDead+" or "+admin.StateSuspected))
		return
	}
	t := newTable("PUSHKEY HASH", "APP", "STATE", "REASON", "FIRST SEEN", "LAST SEEN", "VERDICTS")
	for _, r := range records {
		t.add(cells(r.PushkeyHash, r.App, describe.State(r), r.Reason, i.when(r.FirstSeen), i.when(r.LastSeen), fmt.Sprint(r.Verdicts))...)
	}
	t.write(i.out, i.style)
}

func (p *program) rejectedExplain() *cobra.Command {
	var device selectorFlags
	cmd := p.leaf("explain", "Shows everything that the gateway knows about a device",
		`Shows whether a device's pushkey is recorded as dead or suspected to be dead,
why, and since when. It also shows the result of the latest attempt to send a
push to the device, and whether the device has pending pushes. Select the device
by its app_id and pushkey, or by its hash. A unique prefix of the hash is enough,
such as the 8 characters in a log line.

The first line shows how the gateway would answer the next notification.

Exits with 3 in these cases:
  - the pushkey is recorded as dead, or is unusable
  - no app in the configuration matches the app_id
  - no site uses the app
In all other cases, exits with 0, even if the pushkey is suspected to be dead.
`+pushkeyHelp+endpointHelp, 0, 0, func(i *invocation) error { return explain(i, &device) })
	device.addTo(cmd)
	return cmd
}

func explain(i *invocation, device *selectorFlags) error {
	selector, err := device.selector(i.in)
	if err != nil {
		return err
	}
	c, err := i.client()
	if err != nil {
		return err
	}
	var e gateway.Explanation
	raw, err := c.Post(i.ctx, "rejected/explain", selector, adminclient.Patience, &e)
	if err != nil {
		return err
	}
	if i.json {
		i.raw(raw)
	} else {
		i.explanation(e)
	}
	if e.Unusable != nil && e.Held == "" || e.Record != nil && e.Record.Dead() {
		return errFound
	}
	return nil
}

func (p *program) rejectedForget() *cobra.Command {
	var device selectorFlags
	var app, since string
	cmd := p.leaf("forget", "Forgets one rejection, or an app's rejections since a given time",
		`Forgets that a pushkey is dead, so the next notification for it is sent to its
push service. Select the device by its app_id and pushkey, or by its hash. A
unique prefix of the hash is enough.

With --app and --since, it forgets the app's rejections that were first recorded
at that time or later. Use this to undo wrong rejections.
`+pushkeyHelp+endpointHelp, 0, 0, func(i *invocation) error {
			if app == "" && since == "" {
				return forgetDevice(i, &device)
			}
			if device.given() {
				return misuse("--app and --since cannot be used together with a device")
			}
			return forgetApp(i, app, since)
		})
	device.addTo(cmd)
	cmd.Flags().StringVar(&app, "app", "", "Forget the rejections that were recorded for this app (its pattern)")
	cmd.Flags().StringVar(&since, "since", "",
		"Forget rejections since a time, such as 2026-03-14T09:00:00Z, or within a duration before now, such as 90m or 2d")
	return cmd
}

func forgetDevice(i *invocation, device *selectorFlags) error {
	selector, err := device.selector(i.in)
	if err != nil {
		return err
	}
	c, err := i.client()
	if err != nil {
		return err
	}
	var answer admin.Forgotten
	raw, err := c.Post(i.ctx, "rejected/forget", selector, adminclient.Patience, &answer)
	switch {
	case err != nil:
		return err
	case i.json:
		i.raw(raw)
	case answer.PushkeyHash == "":
		i.say(green, "Forgot %s of the pushkey, which has several endpoints.", describe.Count(answer.Forgotten, "rejection", "rejections"))
	case answer.Forgotten == 0:
		i.say(plain, "There is no record of %s.", answer.PushkeyHash)
	default:
		i.say(green, "Forgot the rejection of %s.", answer.PushkeyHash)
	}
	return nil
}

func forgetApp(i *invocation, app, since string) error {
	if app == "" || since == "" {
		return misuse("--app and --since must be used together")
	}
	from, err := i.since(since)
	if err != nil {
		return err
	}
	c, err := i.client()
	if err != nil {
		return err
	}
	total := admin.Forgotten{}
	defer i.progress.end()
	for body := map[string]string{"app": app, "since": from.UTC().Format(time.RFC3339)}; ; body["cursor"] = total.Next {
		var answer admin.Forgotten
		if _, err := c.Post(i.ctx, "rejected/forget", body, adminclient.LongPatience, &answer); err != nil {
			return err
		}
		total.Forgotten, total.Next, total.Configured = total.Forgotten+answer.Forgotten, answer.Next, answer.Configured
		if total.Next == "" {
			break
		}
		i.progress.tell("Forgot %s so far…", describe.Count(total.Forgotten, "rejection", "rejections"))
	}
	i.progress.end()
	if i.json {
		return i.encode(total)
	}
	i.say(green, "Forgot %s of %s.", describe.Count(total.Forgotten, "rejection", "rejections"), app)
	i.unconfigured(app, total.Configured)
	return nil
}

// since parses a time, or a duration before now.
func (i *invocation) since(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := caddy.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, misuse("--since %q is neither a time such as 2026-03-14T09:00:00Z nor a duration such as 90m", text)
	}
	return i.now().Add(-ago), nil
}
