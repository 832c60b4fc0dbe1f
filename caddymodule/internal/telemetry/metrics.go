package telemetry

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	namespace = "caddy"
	subsystem = "matrix_push"

	// unknownApp is the label for devices that no app serves: a value that a stranger sends must not become a label.
	unknownApp = gateway.UnknownApp
	// maxSeries limits the series of pushes, as a third-party provider may have any number of reasons. The rest get otherReason.
	maxSeries   = 5000
	otherReason = gateway.OtherReason
)

// metrics are created once for the process and registered for each configuration. So no reload resets a counter or finds it already
// registered.
var metrics = newMetrics()

// latencyBuckets cover push services from a nearby one to one that is about to time out.
var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60}

// ageBuckets range from a push that was accepted at once to one that an outage delayed by a day.
var ageBuckets = []float64{.01, .05, .25, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600}

type metricSet struct {
	notifications        *prometheus.CounterVec
	notificationsRefused *prometheus.CounterVec
	notificationSeconds  prometheus.Histogram
	notificationInFlight prometheus.Gauge
	devices              *prometheus.CounterVec
	pushes               *prometheus.CounterVec
	pushSeconds          *prometheus.HistogramVec
	deliveryAge          *prometheus.HistogramVec
	lost                 *prometheus.CounterVec
	storeErrors          *prometheus.CounterVec
	outboxRefusals       *prometheus.CounterVec
	eventsForgotten      prometheus.Counter

	ofStatuses sync.Map // prometheus.Counter by status
	ofPushes   sync.Map // *pushSeries by seriesKey
	many       atomic.Int64
	ofDevices  sync.Map // prometheus.Counter by devicesKey
}

// devicesKey identifies the series that counts devices with a result.
type devicesKey struct {
	app, provider string
	result        gateway.Result
}

// seriesKey identifies the series that count pushes with an outcome.
type seriesKey struct {
	app, provider, outcome, reason string
	untried                        bool
}

// pushSeries are the series that count pushes with an outcome. To find each of them by its labels takes longer than to count.
type pushSeries struct {
	pushes  prometheus.Counter
	seconds prometheus.Observer // nil if there was no attempt
	age     prometheus.Observer // nil if they were not delivered
}

func newMetrics() *metricSet {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: buckets,
		}, labels)
	}
	return &metricSet{
		notifications:        counter("notifications_total", "Notify requests by the status of the answer.", "code"),
		notificationsRefused: counter("notifications_refused_total", "Notify requests that were refused as a whole, by reason.", "reason"),
		notificationSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "notification_duration_seconds",
			Help: "Time from a notify request to its answer.", Buckets: latencyBuckets,
		}),
		notificationInFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "notifications_in_flight", Help: "Notify requests in progress.",
		}),
		devices: counter("devices_total",
			"Devices in notify requests by their result when the request was answered.", "app", "provider", "result"),
		pushes:      counter("pushes_total", "Attempts to deliver a push by outcome.", "app", "provider", "outcome", "reason"),
		pushSeconds: histogram("push_duration_seconds", "Duration of an attempt to deliver a push.", latencyBuckets, "app", "provider"),
		deliveryAge: histogram("delivery_age_seconds", "Time from a notification's acceptance to its delivery.", ageBuckets, "app", "provider"),
		lost:        counter("known_pushkeys_rejected_total", "Rejections of devices that got pushes before.", "app", "provider"),
		storeErrors: counter("store_errors_total", "Failures of the rejected store and the outbox by operation.", "operation"),
		outboxRefusals: counter("outbox_refusals_total", "Pushes that the outbox refused, by the limit that was reached.",
			"app", "provider", "reason"),
		eventsForgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "events_forgotten_total",
			Help: "Delivered events that were forgotten before their time, because there were too many.",
		}),
	}
}

// Register registers the metrics on a configuration's registry, unless they are registered already. find returns the live gateway, whose
// state the gauges show.
func Register(registry *prometheus.Registry, find func() (*gateway.Gateway, error)) error {
	return metrics.register(registry, gauges{find})
}

func (m *metricSet) register(registry *prometheus.Registry, state prometheus.Collector) error {
	for _, c := range []prometheus.Collector{
		m.notifications, m.notificationsRefused, m.notificationSeconds, m.notificationInFlight, m.devices, m.pushes, m.pushSeconds, m.deliveryAge,
		m.lost, m.storeErrors, m.outboxRefusals, m.eventsForgotten, state,
	} {
		var there prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &there) {
			return err
		}
	}
	return nil
}

// Began counts a notify request as in progress until Ended is called.
func Began() { metrics.notificationInFlight.Inc() }

// Ended must be called once for each call of Began.
func Ended() { metrics.notificationInFlight.Dec() }

// Answered counts an answered notify request.
func Answered(status int, took time.Duration) { metrics.answered(status, took) }

// Refused counts a notify request that was refused without being read.
func Refused(status int) { metrics.notification(status) }

func (m *metricSet) answered(status int, took time.Duration) {
	m.notification(status)
	m.notificationSeconds.Observe(took.Seconds())
}

// notification counts a notify request by the status of its answer.
func (m *metricSet) notification(status int) {
	of, ok := m.ofStatuses.Load(status)
	if !ok {
		of, _ = m.ofStatuses.LoadOrStore(status, m.notifications.WithLabelValues(strconv.Itoa(status)))
	}
	of.(prometheus.Counter).Inc()
}

// refusal counts a request that was refused as a whole. The engine defines the reasons.
func (m *metricSet) refusal(reason string) { m.notificationsRefused.WithLabelValues(reason).Inc() }

// device counts a device of a request.
func (m *metricSet) device(app *gateway.App, result gateway.Result) {
	pattern, provider := unknownApp, ""
	if app != nil {
		pattern, provider = app.Pattern, app.ProviderName
	}
	k := devicesKey{pattern, provider, result}
	of, ok := m.ofDevices.Load(k)
	if !ok {
		of, _ = m.ofDevices.LoadOrStore(k, m.devices.WithLabelValues(pattern, provider, result.String()))
	}
	of.(prometheus.Counter).Inc()
}

// push counts an attempt.
func (m *metricSet) push(a gateway.Attempt) {
	app, provider, outcome := a.App.Pattern, a.App.ProviderName, a.Kind()
	of := m.seriesOf(seriesKey{app, provider, outcome, a.Outcome.Reason, a.Untried})
	of.pushes.Inc()
	if of.seconds != nil {
		of.seconds.Observe(a.Duration.Seconds())
	}
	if of.age != nil {
		of.age.Observe(a.Age.Seconds())
	}
	if a.Known && outcome == providers.KindRejected.String() {
		m.lost.WithLabelValues(app, provider).Inc()
	}
}

// dropped counts pushes that were dropped without an attempt.
func (m *metricSet) dropped(a *gateway.App, reason string, pushes int) {
	m.seriesOf(seriesKey{a.Pattern, a.ProviderName, providers.KindDropped.String(), reason, true}).pushes.Add(float64(pushes))
}

func (m *metricSet) seriesOf(k seriesKey) *pushSeries {
	if of, ok := m.ofPushes.Load(k); ok {
		return of.(*pushSeries)
	}
	if m.many.Add(1) > maxSeries {
		k.reason = otherReason
	}
	of := &pushSeries{pushes: m.pushes.WithLabelValues(k.app, k.provider, k.outcome, k.reason)}
	if !k.untried {
		of.seconds = m.pushSeconds.WithLabelValues(k.app, k.provider)
	}
	if k.outcome == providers.KindDelivered.String() {
		of.age = m.deliveryAge.WithLabelValues(k.app, k.provider)
	}
	m.ofPushes.Store(k, of)
	return of
}

// storeFailed counts a store's failure.
func (m *metricSet) storeFailed(doing string) {
	m.storeErrors.WithLabelValues(strings.ReplaceAll(doing, " ", "_")).Inc()
}

// refusedByOutbox counts a push that the outbox refused.
func (m *metricSet) refusedByOutbox(app *gateway.App, why gateway.Refusal) {
	m.outboxRefusals.WithLabelValues(app.Pattern, app.ProviderName, string(why)).Inc()
}
