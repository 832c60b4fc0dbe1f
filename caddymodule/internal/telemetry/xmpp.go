package telemetry

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Alarm is why a push from an XMPP server was not handed to an app. None of them costs a registration, except [KeyRetired].
type Alarm string

// The reasons. Those that have something to do in alarms are logged as errors.
const (
	DomainDenied  Alarm = "domain_denied"
	RateExceeded  Alarm = "rate_exceeded"
	NodeMissing   Alarm = "node_missing"
	KeyUnknown    Alarm = "key_unknown"
	KeysRetired   Alarm = "keys_retired"
	NodeInvalid   Alarm = "node_invalid"
	SecretWrong   Alarm = "secret_wrong"
	AppMissing    Alarm = "app_missing"
	NotUnderstood Alarm = "not_understood"
	Unusable      Alarm = "unusable"
	// KeyRetired: the node's key is retired, and the registration ends.
	KeyRetired Alarm = "key_retired"
	// KeyHeld: the node's key is retired, but so many nodes are that the registration stays. Strangers may have made them up.
	KeyHeld Alarm = "key_held"
	// Busy: too much is under way.
	Busy Alarm = "busy"
	// Undeliverable: a Push 2.0 message that no push service would take. Its sender or its client is at fault.
	Undeliverable Alarm = "undeliverable"
	// SenderNotServer: the sender is a user or a room.
	SenderNotServer Alarm = "sender_not_server"
)

// alarms are what to do about the reasons that alert the operator.
var alarms = map[Alarm]string{
	DomainDenied:  "if this server's users may use the gateway, change allow or deny of the component",
	RateExceeded:  "if this server has many users, raise rate of the component",
	NodeMissing:   "the client registered without a node; it must register again, with its device token as the node",
	KeyUnknown:    "restore the keys in Caddy's storage, in matrix_push/xmpp; if they are lost, the clients must register again",
	KeysRetired:   "most clients have not registered again since the keys were rotated; if they can't, restore the keys' file from a backup",
	NodeInvalid:   "someone changed a node, or uses a node of another domain",
	SecretWrong:   "someone uses a node without its secret, or the server does not send publish-options",
	AppMissing:    "add module, default or register to an app of the component, or correct the client's pushModule",
	NotUnderstood: "report this at the gateway's issue tracker, with the name and version of the XMPP server",
	Unusable:      "the device token is not one of the app's push service; check which app has module, default and register",
}

// StanzaAnswer is how a stanza was answered.
type StanzaAnswer string

// The answers.
const (
	AnswerResult    StanzaAnswer = "result"
	AnswerWait      StanzaAnswer = "wait"
	AnswerGone      StanzaAnswer = "item_not_found"
	AnswerForbidden StanzaAnswer = "forbidden"
	// AnswerError is any other error. No push is answered with one.
	AnswerError StanzaAnswer = "error"
	// AnswerNone means that the stanza must not be answered.
	AnswerNone StanzaAnswer = "none"
	// AnswerLost means that the stream had ended before the answer.
	AnswerLost StanzaAnswer = "lost"
)

type xmppMetrics struct {
	connections, failures, stanzas, refused, coalesced *prometheus.CounterVec
}

// xmpp returns the metrics of XMPP. Like all metrics, they are created once for the process, but not before the first component needs them.
var xmpp = sync.OnceValue(newXMPPMetrics)

func newXMPPMetrics() *xmppMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
	}
	return &xmppMetrics{
		connections: counter("xmpp_connections_total", "Streams that XMPP servers accepted.", "component"),
		failures: counter("xmpp_connection_failures_total", "Streams that ended, or that could not be opened, by reason.",
			"component", "reason"),
		stanzas: counter("xmpp_stanzas_total", "Stanzas from XMPP servers by kind and answer.", "component", "kind", "answer"),
		refused: counter("xmpp_pushes_refused_total", "Pushes from XMPP servers that were not handed to an app, by reason.",
			"component", "reason"),
		coalesced: counter("xmpp_pushes_coalesced_total", "Pushes from XMPP servers that another push to the same device stood for.", "component"),
	}
}

var componentUp = gauge("xmpp_component_up", "Whether an XMPP component is connected to its server.", "component")

// upGauge collects the state of the components at the time of a scrape.
type upGauge struct{}

// Describe implements prometheus.Collector.
func (upGauge) Describe(ch chan<- *prometheus.Desc) { ch <- componentUp }

// Collect implements prometheus.Collector.
func (upGauge) Collect(ch chan<- prometheus.Metric) {
	for _, s := range Components() {
		ch <- prometheus.MustNewConstMetric(componentUp, prometheus.GaugeValue, flag(s.Up), s.Component)
	}
}

// RegisterXMPP registers the metrics of XMPP on a configuration's registry, unless they are registered already.
func RegisterXMPP(registry *prometheus.Registry) error { return xmpp().register(registry) }

func (m *xmppMetrics) register(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{m.connections, m.failures, m.stanzas, m.refused, m.coalesced, upGauge{}} {
		var there prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &there) {
			return err
		}
	}
	return nil
}
