package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// maxProbed bounds the URLs that are probed. An account rarely has more than one.
const maxProbed = 5

// probe has the homeserver itself call the gateway at each URL of the account's pushers, if that was asked for.
func (x *examination) probe() error {
	if x.Prober == nil {
		return nil
	}
	urls, pushers := x.probed()
	switch {
	case len(urls) == 0:
		x.report.Add("probe_without_pusher", 0, nil)
		return nil
	case x.Second == nil && x.report.Homeserver.Software == pushrules.Continuwuity:
		x.report.Add("probe_needs_second_account", 0, facts{"software": x.report.Homeserver.Server})
		return nil
	case x.Second != nil:
		second, err := x.Second.WhoAmI(x.ctx)
		if err != nil {
			return fmt.Errorf("the second account: %w", err)
		}
		if second.UserID == x.report.UserID {
			return errors.New("the second account is the same user: write the access token of another account")
		}
	}
	p := &probing{
		user: x.Homeserver, other: x.Second, userID: x.report.UserID, gates: x.Prober, transport: x.Transport, tell: x.Tell,
		patience: probeTime, poll: probePoll,
	}
	left, err := p.run(x.ctx, urls)
	for i, r := range p.reaches {
		r.pusher = pushers[i]
	}
	switch {
	case x.ctx.Err() != nil:
		return interrupted(left)
	case err != nil:
		x.report.Add("probe_failed", 0, facts{"why": err.Error()})
	default:
		x.judgeProbes(p.reaches)
	}
	for _, l := range left {
		x.report.Add("probe_left", 0, facts{"what": l.what, "how": l.how})
	}
	return nil
}

// interrupted returns the error of a run that the user ended. It names all that is left.
func interrupted(left []leftOver) error {
	if len(left) == 0 {
		return errors.New("interrupted: nothing is left at the homeserver")
	}
	parts := make([]string, len(left))
	for i, l := range left {
		parts[i] = l.what + ". " + l.how
	}
	return errors.New("interrupted. The probe could not remove " + strings.Join(parts, " It could not remove "))
}

// probed returns the URLs that lead to this gateway, and for each the index of the first pusher that has it.
func (x *examination) probed() (urls []string, pushers []int) {
	known := make(map[string]bool)
	for _, p := range x.report.ours() {
		if _, code := parseTarget(p.URL); code == "" && !known[p.URL] && len(urls) < maxProbed {
			known[p.URL] = true
			urls, pushers = append(urls, p.URL), append(pushers, p.Index)
		}
	}
	return urls, pushers
}

// judgeProbes adds what the probes show.
func (x *examination) judgeProbes(reaches []*Reach) {
	x.report.Reached = reaches
	for _, r := range reaches {
		to, _ := parseTarget(r.URL)
		f := facts{"host": to.host, "url": "https://" + to.host, "why": r.Why, "time": probeTime.String(), "causes": x.causes(to)}
		switch {
		case r.Homeserver != nil:
			f["from"], f["tls"], f["seconds"] = r.Homeserver.From, "without TLS", fmt.Sprintf("%.1f", r.Seconds)
			if r.Homeserver.TLS != "" {
				f["tls"] = "over " + r.Homeserver.TLS
			}
			f["which"] = "this"
			if r.byGroup {
				f["which"] = "another"
			}
			x.report.Add("homeserver_reaches_gateway", r.pusher, f)
		case r.Place == Elsewhere:
			x.report.Add("probe_not_accepted", r.pusher, f)
		case r.Place == Nowhere:
			x.report.Add("nobody_reaches", r.pusher, f)
		default:
			x.report.Add("homeserver_does_not_reach", r.pusher, f)
		}
	}
}

// causes lists why a homeserver may not reach a URL, the likeliest first.
func (x *examination) causes(to target) string {
	var list []string
	isSynapse := strings.HasPrefix(strings.ToLower(x.report.Homeserver.Server), "synapse")
	if private := x.ask(to).private; private != "" {
		refuses := "Synapse refuses unless ip_range_whitelist lists it"
		if !isSynapse {
			refuses = "a homeserver may refuse (in Synapse, ip_range_whitelist must list it; see docs/homeservers.md)"
		}
		list = append(list, fmt.Sprintf("%s has the private address %s, which %s", to.host, private, refuses))
	}
	list = append(list, "the homeserver's DNS must know "+to.Hostname(), "it must trust the certificate", "no firewall may be in the way")
	if isSynapse {
		list = append(list, "Synapse's pushers must run (start_pushers and pusher_instances for workers, and push.enabled)")
	}
	if x.Second != nil {
		list = append(list, "the user's push rules must not silence the second account")
	} else if !isSynapse {
		list = append(list, cmp.Or(x.report.Homeserver.Server, "a homeserver")+" may send no unread counts: add --from-token-file")
	}
	return strings.Join(list, "; ")
}

// earlierProbe removes a pusher that an earlier probe left, if there is a probe now.
func (x *examination) earlierProbe(p *Pusher) error {
	if x.Prober == nil {
		x.report.Add("probe_pusher_left", p.Index, nil)
		return nil
	}
	if err := x.Homeserver.DeletePusher(x.ctx, gateway.ProbeAppID, p.Source.Pushkey); err != nil {
		return err
	}
	x.report.Add("probe_pusher_removed", p.Index, nil)
	return nil
}
