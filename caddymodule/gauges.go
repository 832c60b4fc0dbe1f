package caddymodule

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// liveApp is that of the configuration that serves; nil if there is none.
func liveApp() *App {
	app, err := caddy.ActiveContext().AppIfConfigured("matrix_push")
	if err != nil {
		return nil
	}
	return app.(*App)
}

// scrapeTime bounds how long a scrape waits for a store in another process.
const scrapeTime = 2 * time.Second

// stateCollector tells how the live configuration's gateway is at the moment of a scrape: whatever registry is asked, also one of a
// configuration that failed to load.
type stateCollector struct{}

func state(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
}

var (
	pushesInFlight   = state("pushes_in_flight", "Attempts to deliver under way, those that wait for their turn included.", "app", "provider")
	outboxEntries    = state("outbox_entries", "Pushes that wait in the outbox.", "app")
	outboxDevices    = state("outbox_devices", "Devices that pushes wait for in the outbox.", "app")
	outboxAge        = state("outbox_oldest_age_seconds", "Age of the oldest push in the outbox; 0 if none waits.", "app")
	breakersOpen     = state("breakers_open", "Push servers that are left alone as they do not work; of an app with one, until it works again.", "app", "provider")
	fuseTripped      = state("fuse_tripped", "Whether the fuse is tripped: 1 while rejections are held.", "app")
	fuseAlarm        = state("fuse_alarm", "Whether too many of the devices that were delivered to before are among those whose rejections are held.", "app")
	appFailing       = state("app_failing", "Whether an app fails: 1 while its latest pushes all failed for a while and nothing was delivered since.", "app", "provider")
	suspected        = state("pushkeys_suspected", "Pushkeys that look dead without proof: their pushes wait.", "app", "provider")
	rejectedRecords  = state("rejected_records", "Records in the rejected store, where it knows how many.")
	credentialExpiry = state("credential_expiry_timestamp_seconds", "When the credential in use ends, in seconds since 1970.", "app", "provider")
)

// Describe implements prometheus.Collector.
func (stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		pushesInFlight, outboxEntries, outboxDevices, outboxAge, breakersOpen, appFailing, suspected, fuseTripped, fuseAlarm, rejectedRecords, credentialExpiry,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (stateCollector) Collect(ch chan<- prometheus.Metric) {
	app := liveApp()
	if app == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	app.collect(ctx, func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	})
}

// collect tells each gauge's value.
func (a *App) collect(ctx context.Context, gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	for _, s := range a.gateway.Status(ctx) {
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
	for _, f := range a.gateway.Fuses() {
		gauge(fuseTripped, flag(f.Tripped != nil), orUnknown(f.App))
		gauge(fuseAlarm, flag(f.Alarm != nil), orUnknown(f.App))
	}
	if store, ok := a.store.(rejected.Sizer); ok {
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
