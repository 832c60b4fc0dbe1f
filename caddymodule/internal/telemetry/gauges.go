package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// scrapeTime bounds how long a scrape waits for a store in another process.
const scrapeTime = 2 * time.Second

// gauges are the state of the gateway that serves at the moment of a scrape, whatever registry is asked: also that of a configuration
// that failed to load.
type gauges struct {
	find func() (*gateway.Gateway, error)
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
}

var (
	pushesInFlight = gauge("pushes_in_flight", "Attempts to deliver under way, those that wait for their turn included.", "app", "provider")
	outboxEntries  = gauge("outbox_entries", "Pushes that wait in the outbox.", "app")
	outboxDevices  = gauge("outbox_devices", "Devices that pushes wait for in the outbox.", "app")
	outboxAge      = gauge("outbox_oldest_age_seconds", "Age of the oldest push in the outbox; 0 if none waits.", "app")
	breakersOpen   = gauge("breakers_open",
		"Push servers that are left alone as they do not work; of an app with one, until it works again.", "app", "provider")
	fuseTripped = gauge("fuse_tripped", "Whether the fuse is tripped: 1 while rejections are held.", "app")
	fuseAlarm   = gauge("fuse_alarm",
		"Whether too many of the devices that were delivered to before are among those whose rejections are held.", "app")
	appFailing = gauge("app_failing",
		"Whether an app fails: 1 while its latest pushes all failed for a while and nothing was delivered since.", "app", "provider")
	suspected        = gauge("pushkeys_suspected", "Pushkeys that look dead without proof: their pushes wait.", "app", "provider")
	rejectedRecords  = gauge("rejected_records", "Records in the rejected store, where it knows how many.")
	credentialExpiry = gauge("credential_expiry_timestamp_seconds", "When the credential in use ends, in seconds since 1970.",
		"app", "provider")
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		pushesInFlight, outboxEntries, outboxDevices, outboxAge, breakersOpen, appFailing, suspected, fuseTripped, fuseAlarm,
		rejectedRecords, credentialExpiry,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c gauges) Collect(ch chan<- prometheus.Metric) {
	g, err := c.find()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	collect(ctx, g, ch)
}

// collect sends each gauge's value.
func collect(ctx context.Context, g *gateway.Gateway, ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range g.Status(ctx) {
		gauge(pushesInFlight, float64(s.InFlight), s.App, s.Provider)
		open := s.OpenHosts
		if s.Breaker != "" && s.Breaker != "closed" {
			open = 1
		}
		gauge(breakersOpen, float64(open), s.App, s.Provider)
		gauge(appFailing, flag(s.Failing != nil), s.App, s.Provider)
		gauge(suspected, float64(s.Suspected), s.App, s.Provider)
		if s.CredentialExpiry != nil {
			gauge(credentialExpiry, float64(s.CredentialExpiry.Unix()), s.App, s.Provider)
		}
		if s.Outbox != nil {
			gauge(outboxEntries, float64(s.Outbox.Entries), s.App)
			gauge(outboxDevices, float64(s.Outbox.Devices), s.App)
			gauge(outboxAge, age(s.Outbox.Oldest), s.App)
		}
	}
	for _, f := range g.Fuses() {
		gauge(fuseTripped, flag(f.Tripped != nil), orUnknown(f.App))
		gauge(fuseAlarm, flag(f.Alarm != nil), orUnknown(f.App))
	}
	if store, ok := g.Rejected.(rejected.Sizer); ok {
		gauge(rejectedRecords, float64(store.Len()))
	}
}

// flag is a truth as a number.
func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// age is how long ago something was, in seconds; 0 if it never was.
func age(t *time.Time) float64 {
	if t == nil {
		return 0
	}
	return max(0, time.Since(*t).Seconds())
}

// orUnknown is an app's pattern for a label.
func orUnknown(app string) string {
	if app == "" {
		return unknownApp
	}
	return app
}

// Interface guard
var _ prometheus.Collector = gauges{}
