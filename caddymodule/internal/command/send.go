package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// sendFlags set the notification and its device.
type sendFlags struct {
	deviceFlags
	data, request, site   string
	eventID, roomID, body string
	badge, low, dryRun    bool
}

func (p *program) send() *cobra.Command {
	var f sendFlags
	cmd := p.leaf("send", "Sends a test notification and shows the push service's answer",
		`Sends a test notification to a device and shows the push service's answer. The
test ignores the recorded rejections and the outbox, and changes neither of them.
It may take up to 30 s.

The line "Normally" shows what would happen to the notification if a homeserver
sent it.

If the push server has the same host name as one of the gateway's sites, the test
is sent as if it had arrived at that site.

With --dry-run, nothing is sent. The command shows the exact request that the
push service would get, without credentials, and the members that the request
lacks because of the app's settings or a size limit.

Exits with 3 if the notification was not delivered, or with --dry-run, if a
homeserver's notification would not be sent.
`+pushkeyHelp, 0, 0, func(i *invocation) error { return send(i, &f) })
	f.addTo(cmd)
	cmd.Flags().StringVar(&f.data, "data", "", `The pusher's data as JSON, such as {"endpoint":"https://…","auth":"…"} for webpush`)
	cmd.Flags().StringVar(&f.request, "request", "",
		"A file with a complete notify request for one device; use - to read it from standard input")
	cmd.Flags().StringVar(&f.site, "site", "",
		"Treat the notification as received at this site, given as host or host:port (default: the site with the push server's name)")
	cmd.Flags().StringVar(&f.eventID, "event-id", "", "The event's ID (default: the ID that Element recognises as a test)")
	cmd.Flags().StringVar(&f.roomID, "room-id", "", "The room's ID")
	cmd.Flags().StringVar(&f.body, "body", "", "The message's text")
	cmd.Flags().BoolVar(&f.badge, "badge", false, "Send a badge update instead of an event")
	cmd.Flags().BoolVar(&f.low, "low", false, "Send the notification with low priority")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "Show what would be sent, but send nothing")
	return cmd
}

// message returns the request to the admin API.
func (f *sendFlags) message(in io.Reader) (map[string]any, error) {
	if f.request != "" {
		return f.whole(in)
	}
	pushkey, err := f.read(in)
	switch {
	case err != nil:
		return nil, err
	case f.data != "" && !json.Valid([]byte(f.data)):
		return nil, misuse("--data is not valid JSON")
	case f.badge && (f.eventID != "" || f.roomID != "" || f.body != ""):
		return nil, misuse("--badge sends no event: leave out --event-id, --room-id and --body")
	}
	return admin.TestPush{
		AppID: f.appID, Pushkey: pushkey, Data: json.RawMessage(f.data), EventID: f.eventID, RoomID: f.roomID, Body: f.body, Badge: f.badge, Low: f.low,
	}.Message(), nil
}

// whole returns a complete request from a file.
func (f *sendFlags) whole(in io.Reader) (request map[string]any, err error) {
	if f.given() || f.data != "" || f.eventID != "" || f.roomID != "" || f.body != "" || f.badge || f.low {
		return nil, misuse("--request contains the whole notification: only --site can be used with it")
	}
	var data []byte
	if f.request == "-" {
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(f.request)
	}
	if err != nil {
		return nil, err
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(data, &raw) != nil {
		return nil, fmt.Errorf("the request in %s is not a JSON object", f.request)
	}
	request = make(map[string]any)
	for member, value := range raw {
		request[member] = value
	}
	return request, nil
}

func send(i *invocation, f *sendFlags) error {
	body, err := f.message(i.in)
	if err != nil {
		return err
	}
	if f.site != "" {
		body["site"] = f.site
	}
	c, err := i.client()
	if err != nil {
		return err
	}
	if f.dryRun {
		return dryRun(i, c, body)
	}
	i.progress.tell("Sending…")
	var t gateway.Trial
	raw, err := c.Post(i.ctx, "send", body, adminclient.LongPatience, &t)
	i.progress.end()
	if err != nil {
		return err
	}
	if i.json {
		i.raw(raw)
	} else {
		i.trial(t)
	}
	if t.Outcome != "delivered" {
		return errFound
	}
	return nil
}

// dryRun shows what send would send.
func dryRun(i *invocation, c *adminclient.Client, body map[string]any) error {
	var p gateway.Preview
	raw, err := c.Post(i.ctx, "preview", body, adminclient.Patience, &p)
	if err != nil {
		return err
	}
	if i.json {
		i.raw(raw)
	} else {
		i.preview(p)
	}
	if !describe.Sends(p) {
		return errFound
	}
	return nil
}

// trial prints the result of a test notification.
func (i *invocation) trial(t gateway.Trial) { i.described(i.clock().Trial(t), seeRecord) }

// seeRecord adds the command that shows why a pushkey is recorded as dead.
func seeRecord(f *describe.Fact) {
	if f.Name == describe.NameNormally && f.Value == describe.OnRecord {
		f.Value += " (see `caddy matrix-push rejected explain`)"
	}
}
