package telemetry

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/component"
)

// components are the XMPP components of the process.
var components struct {
	mu  sync.Mutex
	all []*Component
}

// Component is what operators see of an XMPP component. It outlives configurations, like the component's stream.
type Component struct {
	jid      string
	observer atomic.Pointer[Observer]

	mu     sync.Mutex
	state  ComponentStatus
	alarms map[Alarm]*AlarmStatus
}

// ComponentStatus is the state of an XMPP component.
type ComponentStatus struct {
	// Component is its domain.
	Component string `json:"component"`
	// Up reports whether it is connected to its XMPP server, and Since is since when it is up or down.
	Up    bool      `json:"up"`
	Since time.Time `json:"since"`
	// Reason is why it is not connected, and Hint is what to do; absent if it is connected, or connects for the first time.
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// Alarms are the pushes that were not handed to an app within the last hour, by reason; the latest is the first.
	Alarms []AlarmStatus `json:"alarms"`
}

// AlarmStatus is how often pushes were not handed to an app for a reason.
type AlarmStatus struct {
	Reason Alarm `json:"reason"`
	// Count is how many since the process began, or since an hour without any.
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
	// Domain is the sender of the latest one.
	Domain string `json:"domain"`
	// Hint is what to do.
	Hint string `json:"hint"`

	logged time.Time // when it was last logged
}

// NewComponent begins to show a component, until Close is called.
func NewComponent(jid string) *Component {
	c := &Component{jid: jid, state: ComponentStatus{Component: jid, Since: time.Now()}, alarms: make(map[Alarm]*AlarmStatus)}
	components.mu.Lock()
	defer components.mu.Unlock()
	components.all = append(components.all, c)
	return c
}

// Close ends the component.
func (c *Component) Close() {
	components.mu.Lock()
	defer components.mu.Unlock()
	components.all = slices.DeleteFunc(components.all, func(other *Component) bool { return other == c })
}

// Components returns the state of each component, in alphabetical order. While a reload changes how a component connects, there are two
// streams; then it is that of the newer one.
func Components() []ComponentStatus {
	components.mu.Lock()
	all := slices.Clone(components.all)
	components.mu.Unlock()
	slices.Reverse(all)
	list := []ComponentStatus{}
	for _, c := range all {
		if !slices.ContainsFunc(list, func(s ComponentStatus) bool { return s.Component == c.jid }) {
			list = append(list, c.Status())
		}
	}
	slices.SortFunc(list, func(a, b ComponentStatus) int { return cmp.Compare(a.Component, b.Component) })
	return list
}

// twin reports whether there is another stream for the same component.
func (c *Component) twin() bool {
	components.mu.Lock()
	defer components.mu.Unlock()
	return slices.ContainsFunc(components.all, func(other *Component) bool { return other != c && other.jid == c.jid })
}

// Status returns the state of the component.
func (c *Component) Status() ComponentStatus {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	s.Alarms = []AlarmStatus{}
	for _, a := range c.alarms {
		if now.Sub(a.Last) < refusalsFor {
			s.Alarms = append(s.Alarms, *a)
		}
	}
	slices.SortFunc(s.Alarms, func(a, b AlarmStatus) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason)) })
	return s
}

// Use makes the component log with an observer from now on.
func (c *Component) Use(o *Observer) { c.observer.Store(o) }

// Up reports that the component is connected.
func (c *Component) Up() {
	c.mu.Lock()
	c.state = ComponentStatus{Component: c.jid, Up: true, Since: time.Now()}
	c.mu.Unlock()
	xmpp().connections.WithLabelValues(c.jid).Inc()
	o := c.observer.Load()
	o.tell(eventComponentUp, map[string]any{"component": c.jid})
	if o.mayLog(zap.InfoLevel, "xmpp component") {
		o.logger.Info("XMPP component connected", zap.String("component", c.jid))
	}
}

// Down reports that the component's stream has ended, or that it could not connect.
func (c *Component) Down(f component.Failure) {
	if f.Reason == component.Stopped {
		c.set(ComponentStatus{Component: c.jid, Since: time.Now(), Reason: f.Reason})
		return
	}
	xmpp().failures.WithLabelValues(c.jid, f.Reason).Inc()
	if !f.Online && f.Reason == "conflict" && c.twin() {
		return // the stream of the configuration before is about to end
	}
	c.set(ComponentStatus{Component: c.jid, Since: time.Now(), Reason: f.Reason, Hint: f.Hint})
	o := c.observer.Load()
	if f.Online {
		o.tell(eventComponentDown, map[string]any{"component": c.jid, "reason": f.Reason})
	}
	fields := []zap.Field{
		zap.String("component", c.jid), zap.String("reason", f.Reason), zap.Error(f.Err), zap.Duration("retry_in", f.Retry), zap.String("hint", f.Hint),
	}
	switch {
	case !f.Log:
	case f.MustAct() || f.Reason == "conflict":
		o.logger.Error("XMPP component refused by the server", fields...)
	case o.mayLog(zap.WarnLevel, "xmpp component"):
		o.logger.Warn("XMPP component not connected", fields...)
	}
}

// set sets the state. Since stays if the component was down before.
func (c *Component) set(s ComponentStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.state.Up {
		s.Since = c.state.Since
	}
	c.state = s
}

// Ignored counts an element of the stream that is not handled. The reason is one of package component's.
func (c *Component) Ignored(reason string) { c.Stanza(reason, AnswerNone) }

// Stanza counts a stanza by how it was answered. The kinds are those of the page about metrics.
func (c *Component) Stanza(kind string, answer StanzaAnswer) {
	xmpp().stanzas.WithLabelValues(c.jid, kind, string(answer)).Inc()
}

// Coalesced counts a push that another one went out for.
func (c *Component) Coalesced() { xmpp().coalesced.WithLabelValues(c.jid).Inc() }

// maxDomain is the maximum length of a domain, RFC 1035 section 2.3.4. A sender's may be longer.
const maxDomain = 253

// Refused reports that a push was not handed to an app. Each reason is logged at most once a minute, whoever causes it.
func (c *Component) Refused(why Alarm, domain string) {
	xmpp().refused.WithLabelValues(c.jid, string(why)).Inc()
	hint, alarm := alarms[why]
	if !alarm {
		return
	}
	if len(domain) > maxDomain {
		domain = domain[:maxDomain] + "…"
	}
	if !c.note(why, domain, hint, time.Now()) {
		return
	}
	o := c.observer.Load()
	o.logger.Error("XMPP push refused", zap.String("component", c.jid), zap.String("domain", domain), zap.String("reason", string(why)),
		zap.String("hint", hint))
}

// note notes an alarm, and reports whether to log it.
func (c *Component) note(why Alarm, domain, hint string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.alarms[why]
	if a == nil || now.Sub(a.Last) >= refusalsFor {
		a = &AlarmStatus{Reason: why, Hint: hint}
		c.alarms[why] = a
	}
	a.Count++
	a.Last, a.Domain = now, domain
	if now.Sub(a.logged) < repeatAfter {
		return false
	}
	a.logged = now
	return true
}
