package doctor

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// Gateway is the running gateway, as its admin API shows it.
type Gateway interface {
	Apps(ctx context.Context) (*admin.Overview, error)
	Explain(ctx context.Context, d Device) (*gateway.Explanation, error)
	Send(ctx context.Context, d Device) (*gateway.Trial, error)
}

// Device is a pusher's device, as the gateway gets it from the homeserver.
type Device struct {
	AppID, Pushkey string
	// Data is the pusher's data without its URL.
	Data json.RawMessage
	// Site is where the homeserver sends its notifications, `host` or `host:port`.
	Site string
}

// Options are what an examination needs. Transport, Resolve and Tell may be nil.
type Options struct {
	Homeserver *homeserver.Client
	Gateway    Gateway
	// Now returns the time in the operator's zone.
	Now func() time.Time
	// Send sends a test notification to each pusher of this gateway.
	Send bool
	// Prober has the homeserver itself call the gateway; nil for no probe. Second is a second account at the homeserver, which some
	// homeservers need for that; it may be nil.
	Prober Prober
	Second *homeserver.Client
	// Transport sends requests to the URLs of pushers, and Resolve looks up their hosts.
	Transport http.RoundTripper
	Resolve   func(ctx context.Context, host string) ([]netip.Addr, error)
	// Tell is called with what is done next.
	Tell func(string)
}

// maxRequests bounds the requests to the homeserver. When they are used up, rooms are shown without their names.
const maxRequests = 10

// examination is one run.
type examination struct {
	Options
	ctx    context.Context
	report *Report
	gates  *admin.Overview
	// answers are what the URLs of pushers answered.
	answers map[string]*answer
	// ways are how notifications for this gateway's pushers arrive.
	ways []way
	// missed means that notifications are missing.
	missed bool
	// judged are the apps, and the findings about apps, that are in the report.
	judged map[string]bool
}

// Examine examines the account whose token the homeserver's client has.
func Examine(ctx context.Context, o Options) (*Report, error) {
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true}
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	x := &examination{
		Options: o, ctx: ctx, report: &Report{Pushers: []Pusher{}, Rings: []Ring{}, Findings: []Finding{}},
		answers: make(map[string]*answer), judged: make(map[string]bool),
	}
	for _, step := range []struct {
		tell string
		do   func() error
	}{
		{"Asking the gateway…", x.overview},
		{"Asking the homeserver whose token it is…", x.account},
		{"Checking the pushers…", x.pushers},
		{"Checking the latest notifications…", x.notifications},
		{"Checking the way to the gateway…", x.reach},
		{"Checking the push rules…", x.rules},
		{"Sending test notifications…", x.tests},
		{"Probing…", x.probe},
	} {
		o.Tell(step.tell)
		if err := step.do(); err != nil {
			return nil, err
		}
	}
	x.report.Homeserver.Requests = x.Homeserver.Requests()
	x.report.sort()
	return x.report, nil
}

func (x *examination) overview() (err error) {
	x.gates, err = x.Gateway.Apps(x.ctx)
	return err
}

func (x *examination) account() error {
	versions, err := x.Homeserver.Versions(x.ctx)
	if err != nil {
		return err
	}
	me, err := x.Homeserver.WhoAmI(x.ctx)
	if err != nil {
		return err
	}
	x.report.UserID, x.report.DeviceID = me.UserID, me.DeviceID
	x.report.Homeserver = Server{Address: x.Homeserver.Address(), Software: softwareOf(versions.Server), Server: versions.Server}
	return nil
}

// softwareOf returns the software that a homeserver names in its header, or else Synapse, which most homeservers are.
func softwareOf(server string) pushrules.Homeserver {
	if h, ok := pushrules.HomeserverNamed(server); ok {
		return h
	}
	return pushrules.SynapseServer
}
