package command

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/doctor"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	account accountFlags
	send    bool
	probe   probeFlags
}

func (p *program) doctor() *cobra.Command {
	var f doctorFlags
	cmd := p.leaf("doctor", "Finds out why a user's phone does not ring",
		`Finds out why a user's phone does not ring. It asks the user's homeserver for the
account's pushers, push rules and latest notifications. It compares each pusher
with this gateway, asks the pusher's URL whether a gateway answers there, and
shows which events ring.

It needs the access token of the user, which it reads from standard input or from
a file. A token on the command line would be visible to all users of the machine.
The token is sent only to the homeserver, over https or to this machine.

It changes nothing. With --send, it also sends a test notification to each pusher
of this gateway. With --probe, it also finds out whether the homeserver reaches
this gateway: it makes the homeserver send a notification. For that, it registers
a temporary pusher, creates a private room, and writes a message there. It asks
you before it does so. Afterwards, it removes the pusher and the room, even after
Ctrl-C.

Exits with 3 if it finds a problem. Notes are not problems.`, 0, 0, func(i *invocation) error { return examine(i, &f) })
	f.account.addTo(cmd)
	cmd.Flags().BoolVar(&f.send, "send", false, "Send a test notification to each pusher of this gateway")
	f.probe.addTo(cmd)
	return cmd
}

func examine(i *invocation, f *doctorFlags) error {
	if f.account.address == "" {
		return misuse("--homeserver is missing: write the URL of the user's homeserver")
	}
	account, err := f.account.client(i.in)
	if err != nil {
		return err
	}
	c, err := i.client()
	if err != nil {
		return err
	}
	o := doctor.Options{
		Homeserver: account, Gateway: adminGateway{c}, Now: i.now, Send: f.send, Tell: func(step string) { i.progress.tell("%s", step) },
	}
	end, err := f.probe.prepare(i, &f.account, &o)
	if err != nil {
		return err
	}
	defer end()
	defer i.progress.end()
	report, err := doctor.Examine(i.ctx, o)
	i.progress.end()
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	if i.json {
		if err := i.encode(report); err != nil {
			return err
		}
	} else {
		i.diagnosis(report)
	}
	if report.Problems() > 0 {
		return errFound
	}
	return nil
}

// adminGateway asks the running gateway's admin API.
type adminGateway struct{ *adminclient.Client }

func (g adminGateway) Apps(ctx context.Context) (*admin.Overview, error) {
	o := new(admin.Overview)
	_, err := g.Get(ctx, "apps", nil, o)
	return o, err
}

func (g adminGateway) Explain(ctx context.Context, d doctor.Device) (*gateway.Explanation, error) {
	e := new(gateway.Explanation)
	body := map[string]any{"app_id": d.AppID, "pushkey": d.Pushkey, "data": d.Data, "site": d.Site}
	_, err := g.Post(ctx, "rejected/explain", body, adminclient.LongPatience, e)
	return e, err
}

func (g adminGateway) Send(ctx context.Context, d doctor.Device) (*gateway.Trial, error) {
	t := new(gateway.Trial)
	device := map[string]any{"app_id": d.AppID, "pushkey": d.Pushkey, "data": d.Data}
	body := map[string]any{"notification": map[string]any{"devices": []any{device}}, "site": d.Site}
	_, err := g.Post(ctx, "send", body, adminclient.LongPatience, t)
	return t, err
}
