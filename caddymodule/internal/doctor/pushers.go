package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// maxPushers bounds the pushers that are checked.
const maxPushers = 50

func (x *examination) pushers() error {
	list, err := x.Homeserver.Pushers(x.ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		x.report.Add("no_pusher", 0, nil)
		return nil
	}
	if len(list) > maxPushers {
		x.report.Add("many_pushers", 0, facts{"count": fmt.Sprint(len(list)), "checked": fmt.Sprint(maxPushers)})
		list = list[:maxPushers]
	}
	for i, source := range list {
		x.report.Pushers = append(x.report.Pushers, Pusher{
			Index: i + 1, AppID: source.AppID, Kind: source.Kind, Name: source.DeviceDisplayName,
			PushkeyHash: rejected.KeyOf(source.AppID, source.Pushkey).String(), Source: source,
		})
		if err := x.pusher(&x.report.Pushers[i]); err != nil {
			return err
		}
	}
	x.duplicates()
	if len(x.report.ours()) == 0 {
		x.report.Add("no_pusher_here", 0, nil)
	}
	return nil
}

// duplicates finds pushers of this gateway with the same pushkey.
func (x *examination) duplicates() {
	same := make(map[string][]string)
	var order []string
	for _, p := range x.report.ours() {
		pushkey := p.Source.Pushkey
		if same[pushkey] == nil {
			order = append(order, pushkey)
		}
		same[pushkey] = append(same[pushkey], fmt.Sprint(p.Index))
	}
	for _, pushkey := range order {
		if indexes := same[pushkey]; len(indexes) > 1 {
			last := len(indexes) - 1
			x.report.Add("duplicate_pushers", 0, facts{"pushers": strings.Join(indexes[:last], ", ") + " and " + indexes[last]})
		}
	}
}

// pusher checks one pusher.
func (x *examination) pusher(p *Pusher) error {
	if p.Kind != "http" {
		x.report.Add("not_for_gateway", p.Index, facts{"kind": fmt.Sprintf("%q", p.Kind)})
		return nil
	}
	if p.AppID == gateway.ProbeAppID {
		return x.earlierProbe(p)
	}
	if p.AppID == "" || p.Source.Pushkey == "" {
		x.report.Add("pusher_malformed", p.Index, nil)
		return nil
	}
	data, address := withoutURL(p.Source.Data)
	to, code := parseTarget(address)
	p.URL, p.Gateway = address, to.host
	if to.URL == nil {
		x.report.Add(code, p.Index, nil)
		return nil
	}
	e, err := x.Gateway.Explain(x.ctx, Device{AppID: p.AppID, Pushkey: p.Source.Pushkey, Data: data, Site: to.host})
	if err != nil {
		return err
	}
	p.PushkeyHash = e.PushkeyHash
	var asked *answer
	if code == "" || e.Arrival != nil && e.Arrival.Result == gateway.ArrivesAccepted {
		asked = x.ask(to)
	}
	p.Ours = arrives(e.Arrival, asked)
	if !p.Ours {
		said := asked.said()
		if code != "" {
			said = "Its URL is not one that a gateway has."
		}
		x.report.Add("other_gateway", p.Index, facts{"host": to.host, "answer": said})
		return nil
	}
	x.disabled(p)
	if code != "" {
		x.report.Add(code, p.Index, nil)
	} else if asked != nil {
		x.ways = append(x.ways, way{p.Index, to.host, asked, e.Last})
	}
	return x.device(p, e, data)
}

// way is how notifications for a pusher of this gateway arrive.
type way struct {
	pusher int
	host   string
	asked  *answer
	last   *gateway.Account
}

// arrives reports whether a URL leads to this gateway. If only a site for all names accepts it, a gateway must answer there.
func arrives(a *gateway.ArrivalStatus, asked *answer) bool {
	switch {
	case a == nil, a.Result == gateway.ArrivesNowhere:
		return false
	case a.Result == gateway.ArrivesAccepted:
		return asked != nil && asked.isGateway()
	}
	return true
}

// withoutURL returns a pusher's data as the homeserver sends it to the gateway, and the gateway's URL.
func withoutURL(data json.RawMessage) (rest json.RawMessage, address string) {
	members := make(map[string]json.RawMessage)
	if json.Unmarshal(data, &members) != nil {
		return nil, ""
	}
	_ = json.Unmarshal(members["url"], &address)
	delete(members, "url")
	rest, err := json.Marshal(members)
	if err != nil {
		return nil, address
	}
	return rest, address
}

// disabled finds a pusher that is turned off, https://github.com/matrix-org/matrix-spec-proposals/pull/3881.
func (x *examination) disabled(p *Pusher) {
	var members struct {
		Stable   *bool `json:"enabled"`
		Unstable *bool `json:"org.matrix.msc3881.enabled"`
	}
	_ = json.Unmarshal(p.Source.Raw, &members)
	if slices.ContainsFunc([]*bool{members.Stable, members.Unstable}, func(on *bool) bool { return on != nil && !*on }) {
		x.report.Add("pusher_disabled", p.Index, nil)
	}
}

// stillRight is how long an attempt shows that the homeserver reaches the gateway, although this machine does not.
const stillRight = time.Hour

// reach adds what is wrong with the ways to this gateway. A homeserver that has sent a notification to a host reaches it, unless later ones
// are missing.
func (x *examination) reach() error {
	latest := make(map[string]time.Time)
	for _, w := range x.ways {
		if !x.missed && w.last != nil && w.last.At.After(latest[w.host]) {
			latest[w.host] = w.last.At
		}
	}
	private := make(map[string]bool)
	for _, w := range x.ways {
		last := latest[w.host]
		switch {
		case w.asked.facts["why"] != "" && x.Now().Sub(last) < stillRight:
			f := maps.Clone(w.asked.facts)
			f["when"] = at(last, x.Now())
			x.report.Add("not_reachable_from_here", w.pusher, f)
		case w.asked.code != "":
			x.report.Add(w.asked.code, w.pusher, w.asked.facts)
		}
		if address := w.asked.private; address != "" && last.IsZero() && !private[w.host] {
			private[w.host] = true
			x.report.Add("private_address", w.pusher, facts{"host": w.host, "address": address})
		}
	}
	return nil
}
