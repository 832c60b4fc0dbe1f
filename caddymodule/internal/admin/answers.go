package admin

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// The states of the gateway.
const (
	Ready = "ready"
	// Degraded means ready, with something that needs attention.
	Degraded = "degraded"
	NotReady = "not_ready"
)

// Overview is the state of the gateway and its apps.
type Overview struct {
	// Status is Ready or Degraded.
	Status   string                `json:"status"`
	Degraded []gateway.Degradation `json:"degraded"`
	// Since is when this process began to remember attempts.
	Since time.Time `json:"since,omitzero"`
	// Rejected and Outbox are the names of the stores' modules.
	Rejected string `json:"rejected"`
	Outbox   string `json:"outbox"`
	// Records is the number of pushkeys recorded as dead or suspected; absent if the store can't count them.
	Records *int `json:"rejected_records,omitempty"`
	// Refused are the notifications that sites refused within the last hour, before any of their devices was handled.
	Refused []telemetry.Refusal `json:"refused"`
	Apps    []gateway.AppStatus `json:"apps"`
	// Servers are what happened to the stores' servers; absent if no store has any.
	Servers []gateway.ServersStatus `json:"servers,omitempty"`
	// Components are the XMPP components; absent if there are none.
	Components []telemetry.ComponentStatus `json:"xmpp_components,omitempty"`
}

// Keys are the application server keys of the apps that have one.
type Keys struct {
	Keys []Key `json:"keys"`
}

// Key is the public key of an app. The app signs with the private key, and clients subscribe with this one.
type Key struct {
	// App is the app's pattern.
	App      string `json:"app"`
	Provider string `json:"provider"`
	// ApplicationServerKey is the key in the form of RFC 8292: base64url of the uncompressed point.
	ApplicationServerKey string `json:"application_server_key"`
}

// Readiness is the answer to the readiness check.
type Readiness struct {
	// Status is Ready, Degraded or NotReady.
	Status string `json:"status"`
	// Error is why the gateway is not ready.
	Error    string                `json:"error,omitempty"`
	Degraded []gateway.Degradation `json:"degraded"`
}

// Records is a page of the rejected store's records. Next is the cursor of the next page; empty on the last page.
type Records struct {
	Records []gateway.RecordStatus `json:"records"`
	Next    string                 `json:"next,omitempty"`
	// Configured is false if the request names an app that is not configured; absent otherwise.
	Configured *bool `json:"configured,omitempty"`
}

// Forgotten is the answer to a request that forgets rejections: how many were forgotten.
type Forgotten struct {
	PushkeyHash string `json:"pushkey_hash,omitempty"`
	Forgotten   int    `json:"forgotten"`
	// Next is the cursor to continue with, if one request was not enough for all records.
	Next string `json:"next,omitempty"`
	// Configured is false if the request names an app that is not configured; absent otherwise.
	Configured *bool `json:"configured,omitempty"`
}

// Depths lists how many pushes are pending for each app.
type Depths struct {
	Apps []Depth `json:"apps"`
	// Unreadable names the parts of the outbox that cannot be read; absent if there are none. The pushes in these parts are not counted.
	Unreadable string `json:"unreadable,omitempty"`
}

// Depth is how many pushes are pending for an app.
type Depth struct {
	App     string `json:"app"`
	Entries int    `json:"entries"`
	Devices int    `json:"devices"`
	// Oldest is when the oldest entry was accepted.
	Oldest time.Time `json:"oldest,omitzero"`
	// Full means that the app's room is used up, not counting strangers' pushes, as these make room for others.
	Full bool `json:"full,omitempty"`
	// Configured reports whether the app is configured. Without configuration, entries stay pending until they expire.
	Configured bool `json:"configured"`
}

// Entries is a page of an app's pending pushes. Next is the cursor of the next page; empty on the last page.
type Entries struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"`
	// Configured is false if the request names an app that is not configured; absent otherwise.
	Configured *bool `json:"configured,omitempty"`
}

// Entry is a pending push in the outbox, as operators see it.
type Entry struct {
	ID          string    `json:"id"`
	App         string    `json:"app"`
	PushkeyHash string    `json:"pushkey_hash"`
	Badge       bool      `json:"badge"`
	Wake        bool      `json:"wake,omitempty"`
	Size        int       `json:"size"`
	Accepted    time.Time `json:"accepted"`
	Expires     time.Time `json:"expires"`
	// Due is when the device is tried next. During an attempt, it is when the attempt's lease ends.
	Due time.Time `json:"due"`
	// Attempts is the number of failed attempts in a row for the device.
	Attempts int  `json:"attempts"`
	Running  bool `json:"running"`
	// Group is the host's group, if devices choose the host. Standing is what was known about the device and the host when the entry was
	// accepted: stranger, guest or proven. When the outbox is full, both decide which entries are removed.
	Group    string `json:"group,omitempty"`
	Standing string `json:"standing,omitempty"`
}

// NewEntry returns an entry as operators see it.
func NewEntry(w outbox.Waiting) Entry {
	return Entry{
		w.ID, w.App, hex.EncodeToString(w.Device[:]), w.Replace == outbox.ReplaceBadge, strings.HasPrefix(w.Replace, outbox.ReplaceWake),
		w.Size, w.Accepted, w.Expires, w.Due, w.Attempts, w.Running, w.Group, w.Standing.String(),
	}
}

// Retried is the answer to a request to retry pending pushes.
type Retried struct {
	App         string `json:"app"`
	PushkeyHash string `json:"pushkey_hash,omitempty"`
	// Configured reports whether the app is configured. Pushes of other apps are not retried.
	Configured bool `json:"configured"`
}

// Dropped is the answer to a request to drop pending pushes: how many were dropped.
type Dropped struct {
	App         string `json:"app"`
	PushkeyHash string `json:"pushkey_hash,omitempty"`
	Dropped     int    `json:"dropped"`
	// Next is the cursor to continue with, if one request was not enough for all pending pushes.
	Next string `json:"next,omitempty"`
	// Configured is false if the request names an app that is not configured; absent otherwise.
	Configured *bool `json:"configured,omitempty"`
}

// FuseReset reports whether the fuse was tripped before the reset.
type FuseReset struct {
	WasTripped bool `json:"was_tripped"`
}

// Failure is the answer to a request that failed.
type Failure struct {
	Error string `json:"error"`
	// Candidates are the hashes that start with the given prefix, if there are several.
	Candidates []string `json:"candidates,omitempty"`
}
