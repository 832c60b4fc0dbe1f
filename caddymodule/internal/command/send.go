package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

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
	if err != nil {
		return nil, err
	}
	device := map[string]any{"app_id": f.appID, "pushkey": pushkey}
	if f.data != "" {
		if !json.Valid([]byte(f.data)) {
			return nil, misuse("--data is not valid JSON")
		}
		device["data"] = json.RawMessage(f.data)
	}
	n := map[string]any{"devices": []any{device}}
	switch {
	case f.badge && (f.eventID != "" || f.roomID != "" || f.body != ""):
		return nil, misuse("--badge sends no event: leave out --event-id, --room-id and --body")
	case f.badge:
		for _, member := range []string{"event_id", "room_id", "type", "sender", "sender_display_name", "room_name", "content"} {
			n[member] = nil
		}
	}
	for member, value := range map[string]string{"event_id": f.eventID, "room_id": f.roomID} {
		if value != "" {
			n[member] = value
		}
	}
	if f.body != "" {
		n["content"] = map[string]string{"msgtype": "m.text", "body": f.body}
	}
	if f.low {
		n["prio"] = "low"
	}
	return map[string]any{"notification": n}, nil
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
	raw, err := c.post(i.ctx, "send", body, longPatience, &t)
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
func dryRun(i *invocation, c *client, body map[string]any) error {
	var p gateway.Preview
	raw, err := c.post(i.ctx, "preview", body, patience, &p)
	if err != nil {
		return err
	}
	if i.json {
		i.raw(raw)
	} else {
		i.preview(p)
	}
	if !sends(p) {
		return errFound
	}
	return nil
}

// results describe the result of the same notification from a homeserver.
var results = map[string]string{
	"delivered":   "delivered",
	"rejected":    "rejected, so the homeserver would remove the pusher",
	"dropped":     "dropped: this push is not sent again, but the pushkey is fine",
	"queued":      "kept in the outbox; will be retried",
	"unavailable": "answered with 503, so the homeserver sends it again",
}

func (i *invocation) trial(t gateway.Trial) {
	if t.Outcome == "delivered" {
		i.say(green, "The push service accepted the notification after %.2f s.", t.Duration)
	} else {
		i.say(red, "The notification was not delivered. The attempt took %.2f s.", t.Duration)
	}
	rows := [][2]string{{"App", t.App + " (" + t.Provider + ")"}, {"Pushkey hash", t.PushkeyHash}, {"Received at", t.Site}}
	if t.Outcome != t.Reason {
		rows = append(rows, [2]string{"Outcome", t.Outcome + ": " + t.Reason}, [2]string{"Service reason", t.Word}, [2]string{"Detail", t.Detail},
			[2]string{"Meaning", t.Explanation})
	}
	if t.RetryAfter > 0 {
		rows = append(rows, [2]string{"Retry after", fmt.Sprintf("%.0f s", t.RetryAfter)})
	}
	rows = append(rows, [2]string{"Dead since", i.whenever(t.ServiceTime)}, [2]string{"Normally", normally(t.Result, t.OnRecord)},
		[2]string{"Note", t.Note})
	i.facts(rows)
}

// normally returns what would become of the same notification from a homeserver; empty if the output's first line shows it.
func normally(result string, onRecord bool) string {
	switch {
	case onRecord:
		return "rejected without asking the push service: the pushkey is recorded as dead (see `caddy matrix-push rejected explain`)"
	case result == "delivered":
		return ""
	default:
		return results[result]
	}
}
