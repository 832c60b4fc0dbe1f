package telemetry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// fullBox and fullStore know only how much they hold.
type fullBox struct{ outbox.Inspector }

func (fullBox) Depths(context.Context) ([]outbox.Depth, error) {
	return []outbox.Depth{{App: "org.example.*", Entries: 3, Devices: 2, Oldest: time.Now().Add(-time.Hour)}}, nil
}

func (fullBox) Unconfirmed() (time.Time, error) { return time.Now(), errors.New("no replica") }

func (fullBox) Failovers() (int, time.Time) { return 2, time.Now() }

func (fullBox) ShardsDown() int { return 3 }

type fullStore struct{ rejected.Store }

func (fullStore) Len() int { return 7 }

// exposed returns the gateway's metrics as a scrape shows them, one of each.
func exposed(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	app := &gateway.App{
		Pattern: "org.example.*", ProviderName: "apns", Provider: &ending{at: time.Now().Add(time.Hour)}, Limit: limit.NewFair(1, 1),
	}
	router, err := gateway.NewRouter([]*gateway.App{app})
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics()
	m.answered(200, time.Second)
	m.refusal("busy")
	m.device(app, gateway.Delivered)
	m.push(gateway.Attempt{App: app, Outcome: providers.Delivered(), Result: gateway.Delivered})
	m.push(gateway.Attempt{App: app, Outcome: providers.Rejected("gone"), Result: gateway.Rejected, Known: true})
	m.storeFailed("leasing pushes")
	m.refusedByOutbox(app, gateway.RefusedFull)
	g := gateway.New(gateway.Options{Router: router, Shared: gateway.NewShared(), Rejected: fullStore{}, Outbox: fullBox{}})
	registry := prometheus.NewPedanticRegistry() // as Caddy's are: it fails for what is collected without having been described
	if err := m.register(registry, gauges{func() (*gateway.Gateway, error) { return g, nil }}); err != nil {
		t.Fatal(err)
	}
	x := newXMPPMetrics()
	x.connections.WithLabelValues("push.example.org").Inc()
	x.failures.WithLabelValues("push.example.org", "closed").Inc()
	x.stanzas.WithLabelValues("push.example.org", "publish", string(AnswerResult)).Inc()
	x.refused.WithLabelValues("push.example.org", string(Busy)).Inc()
	x.coalesced.WithLabelValues("push.example.org").Inc()
	t.Cleanup(NewComponent("push.example.org").Close)
	if err := x.register(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// metric is a metric's type and its labels in order.
type metric struct {
	kind   string
	labels []string
}

// exported returns the gateway's metrics by name.
func exported(t *testing.T) map[string]metric {
	t.Helper()
	metrics := make(map[string]metric)
	for _, family := range exposed(t) {
		var labels []string
		for _, l := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		metrics[family.GetName()] = metric{strings.ToLower(family.GetType().String()), labels}
	}
	return metrics
}

func TestEachStateThatIsDescribedIsCollected(t *testing.T) {
	t.Parallel()
	descriptions := make(chan *prometheus.Desc, 100)
	gauges{}.Describe(descriptions)
	gauges := 0
	for _, m := range exported(t) {
		if m.kind == "gauge" {
			gauges++
		}
	}
	if want := len(descriptions) + 1; gauges != want { // without the counter of failovers, and with those of requests in flight and of XMPP
		t.Errorf("%d gauges are collected, want %d", gauges, want)
	}
}

func TestTheStateIsToldInTheUnitsOfTheMetricsNames(t *testing.T) {
	t.Parallel()
	values := make(map[string]float64)
	for _, family := range exposed(t) {
		for _, m := range family.GetMetric() {
			if m.Gauge != nil {
				values[strings.TrimPrefix(family.GetName(), "caddy_matrix_push_")] += m.Gauge.GetValue()
			}
		}
	}
	if ends := time.Until(time.Unix(int64(values["credential_expiry_timestamp_seconds"]), 0)); ends < 59*time.Minute || ends > time.Hour {
		t.Errorf("the credential ends in %v, want an hour", ends)
	}
	if age := values["outbox_oldest_age_seconds"]; age < 3600 || age > 3660 {
		t.Errorf("the oldest push is %v seconds old, want an hour", age)
	}
	for name, want := range map[string]float64{"outbox_entries": 3, "outbox_devices": 2, "rejected_records": 7, "fuse_tripped": 0, "breakers_open": 0} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// partBox is an outbox of which one shard does not answer.
type partBox struct{ outbox.Inspector }

func (partBox) Depths(ctx context.Context) ([]outbox.Depth, error) {
	depths, _ := fullBox{}.Depths(ctx)
	return depths, &outbox.PartError{Parts: "shards 3 of 16", Err: errors.New("unreachable")}
}

// silent observes nothing.
type silent struct{ gateway.Observer }

func (silent) StoreFailed(string, error) {}

func TestM19_MetricsDoNotCountAPartOfTheOutbox(t *testing.T) {
	t.Parallel()
	router, err := gateway.NewRouter([]*gateway.App{{Pattern: "org.example.*", Provider: &ending{}, Limit: limit.NewFair(1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(gateway.Options{
		Router: router, Shared: gateway.NewShared(), Rejected: fullStore{}, Outbox: partBox{}, Observer: silent{},
	})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(gauges{func() (*gateway.Gateway, error) { return g, nil }})
	families, err := registry.Gather()
	if err != nil || len(families) == 0 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	for _, family := range families {
		switch name := strings.TrimPrefix(family.GetName(), "caddy_matrix_push_"); name {
		case "outbox_entries", "outbox_devices", "outbox_oldest_age_seconds":
			t.Errorf("%s is there", name)
		}
	}
}

func TestM42_TheShardsThatAreDownAreCounted(t *testing.T) {
	t.Parallel()
	for _, family := range exposed(t) {
		if family.GetName() == "caddy_matrix_push_outbox_shards_down" {
			if n := family.GetMetric()[0].GetGauge().GetValue(); n != 3 {
				t.Errorf("%v shards are down, want 3", n)
			}
			return
		}
	}
	t.Error("there is no such metric")
}

// Not parallel, as the metrics belong to the process.
func TestEachRegistryHasTheProcesssMetricsAndTheStateOfTheGatewayThatServes(t *testing.T) {
	router, err := gateway.NewRouter([]*gateway.App{{Pattern: "a", ProviderName: "apns", Provider: &ending{}, Limit: limit.NewFair(1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	serving := gateway.New(gateway.Options{Router: router, Shared: gateway.NewShared()})
	none := errors.New("no gateway")
	registry := prometheus.NewPedanticRegistry()
	for range 2 { // Caddy's admin API and the app do, in whichever order
		if err := Register(registry, func() (*gateway.Gateway, error) { return serving, none }); err != nil {
			t.Fatal(err)
		}
	}
	inFlight := func() (gauge float64, open bool) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		gauge = -1
		for _, family := range families {
			switch family.GetName() {
			case "caddy_matrix_push_notifications_in_flight":
				gauge = family.GetMetric()[0].GetGauge().GetValue()
			case "caddy_matrix_push_breakers_open":
				open = true
			}
		}
		return gauge, open
	}
	if n, state := inFlight(); n != 0 || state {
		t.Errorf("before anything serves: %v in flight, and a state: %v", n, state)
	}
	none = nil
	Began()
	if n, state := inFlight(); n != 1 || !state {
		t.Errorf("during a request: %v in flight, and a state: %v", n, state)
	}
	Ended()
	if n, _ := inFlight(); n != 0 {
		t.Errorf("after a request: %v in flight", n)
	}
}
