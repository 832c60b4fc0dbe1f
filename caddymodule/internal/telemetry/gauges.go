package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// scrapeTime bounds how long a scrape waits for a store in another process.
const scrapeTime = 2 * time.Second

// gauges collect the state of the live gateway at the time of a scrape. They do so on any registry, including that of a configuration that
// failed to load.
type gauges struct {
	find func() (*gateway.Gateway, error)
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
}

var (
	pushesInFlight = gauge("pushes_in_flight",
		"Delivery attempts in progress, including those that wait for a free slot.", "app", "provider")
	outboxEntries = gauge("outbox_entries", "Pending pushes in the outbox.", "app")
	outboxDevices = gauge("outbox_devices", "Devices with pending pushes in the outbox.", "app")
	outboxAge     = gauge("outbox_oldest_age_seconds", "Age of the oldest push in the outbox; 0 if it is empty.", "app")
	shardsDown    = gauge("outbox_shards_down", "Shards of the outbox that cannot be used.")
	breakersOpen  = gauge("breakers_open",
		"Push servers whose breaker is open. For an app with one push service, 1 until it works again.", "app", "provider")
	fuseTripped = gauge("fuse_tripped", "Whether the fuse is tripped: 1 while rejections are held.", "app")
	fuseAlarm   = gauge("fuse_alarm",
		"Whether the fuse tripped for devices that got pushes before: 1 while their rejections are held.", "app")
	appFailing = gauge("app_failing",
		"Whether an app is failing: 1 if all its pushes have failed for a while and nothing was delivered.", "app", "provider")
	suspected = gauge("pushkeys_suspected",
		"Pushkeys that appear to be dead, without proof yet. Their pushes stay pending.", "app", "provider")
	outboxUnconfirmed = gauge("outbox_unconfirmed",
		"Whether the servers of the outbox fail to confirm pushes: 1 while they do.")
	redisFailovers   = gauge("redis_failovers_total", "Failovers and restarts of Redis primaries, by store.", "store")
	rejectedRecords  = gauge("rejected_records", "Records in the rejected store, if it can count them.")
	credentialExpiry = gauge("credential_expiry_timestamp_seconds", "When the credential in use expires, in seconds since 1970.",
		"app", "provider")
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		pushesInFlight, outboxEntries, outboxDevices, outboxAge, shardsDown, breakersOpen, appFailing, suspected, fuseTripped, fuseAlarm,
		rejectedRecords, credentialExpiry, outboxUnconfirmed, redisFailovers,
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

// collect sends the value of each gauge.
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
		if s.Outbox != nil && s.Outbox.Unreadable == "" { // otherwise the numbers would be too low
			gauge(outboxEntries, float64(s.Outbox.Entries), s.App)
			gauge(outboxDevices, float64(s.Outbox.Devices), s.App)
			gauge(outboxAge, age(s.Outbox.Oldest), s.App)
		}
	}
	for _, f := range g.Fuses() {
		gauge(fuseTripped, flag(f.Tripped != nil), orUnknown(f.App))
		gauge(fuseAlarm, flag(f.Alarm != nil), orUnknown(f.App))
	}
	if box, ok := g.Outbox.(outbox.Confirmer); ok {
		_, why := box.Unconfirmed()
		gauge(outboxUnconfirmed, flag(why != nil))
	}
	for _, s := range g.Servers() {
		ch <- prometheus.MustNewConstMetric(redisFailovers, prometheus.CounterValue, float64(s.Failovers), s.Store)
	}
	if box, ok := g.Outbox.(outbox.Sharded); ok {
		gauge(shardsDown, float64(box.ShardsDown()))
	}
	if store, ok := g.Rejected.(rejected.Sizer); ok {
		gauge(rejectedRecords, float64(store.Len()))
	}
}

// flag returns 1 for true and 0 for false.
func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// age returns how long ago t was, in seconds; 0 if t is nil.
func age(t *time.Time) float64 {
	if t == nil {
		return 0
	}
	return max(0, time.Since(*t).Seconds())
}

// orUnknown returns the label for an app's pattern.
func orUnknown(app string) string {
	if app == "" {
		return unknownApp
	}
	return app
}

// Interface guard
var _ prometheus.Collector = gauges{}
