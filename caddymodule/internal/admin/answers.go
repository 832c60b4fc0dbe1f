package admin

import (
	"encoding/hex"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// The words for how the gateway is.
const (
	Ready = "ready"
	// Degraded is ready, with something to look into.
	Degraded = "degraded"
	NotReady = "not_ready"
)

// Overview is how the gateway is.
type Overview struct {
	// Status is Ready or Degraded.
	Status   string                `json:"status"`
	Degraded []gateway.Degradation `json:"degraded"`
	// Rejected and Outbox are the names of the stores' modules.
	Rejected string `json:"rejected"`
	Outbox   string `json:"outbox"`
	// Records is how many pushkeys are on record as dead or suspected; absent if the store does not know.
	Records *int                `json:"rejected_records,omitempty"`
	Apps    []gateway.AppStatus `json:"apps"`
}

// Keys are the application server keys of the apps that have one.
type Keys struct {
	Keys []Key `json:"keys"`
}

// Key is the public half of the key that an app signs with, which its clients subscribe with.
type Key struct {
	// App is its pattern.
	App      string `json:"app"`
	Provider string `json:"provider"`
	// ApplicationServerKey is the key as RFC 8292 has it: base64url of the uncompressed point.
	ApplicationServerKey string `json:"application_server_key"`
}

// Readiness is the answer to the check of whether the gateway takes notifications.
type Readiness struct {
	// Status is Ready, Degraded or NotReady.
	Status string `json:"status"`
	// Error says why the gateway is not ready.
	Error    string                `json:"error,omitempty"`
	Degraded []gateway.Degradation `json:"degraded"`
}

// Records is a page of the rejected store's. Next is the cursor of the next page; empty if there is none.
type Records struct {
	Records []gateway.RecordStatus `json:"records"`
	Next    string                 `json:"next,omitempty"`
}

// Forgotten is how many rejections were forgotten.
type Forgotten struct {
	PushkeyHash string `json:"pushkey_hash,omitempty"`
	Forgotten   int    `json:"forgotten"`
	// Next is the cursor to go on with, if the request could not work through all records.
	Next string `json:"next,omitempty"`
}

// Depths is how much waits for each app.
type Depths struct {
	Apps []Depth `json:"apps"`
}

// Depth is how much waits for an app.
type Depth struct {
	App     string `json:"app"`
	Entries int    `json:"entries"`
	Devices int    `json:"devices"`
	// Oldest is when the oldest entry was accepted.
	Oldest time.Time `json:"oldest,omitzero"`
	// Full says that the app's room is used up: all of it, but for what strangers have.
	Full bool `json:"full,omitempty"`
	// Configured says whether the app is; the entries of one that is not wait until they expire.
	Configured bool `json:"configured"`
}

// Entries is a page of what waits for an app. Next is the cursor of the next page; empty if there is none.
type Entries struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"`
}

// Entry is an entry of the outbox as an operator sees it.
type Entry struct {
	ID          string    `json:"id"`
	App         string    `json:"app"`
	PushkeyHash string    `json:"pushkey_hash"`
	Badge       bool      `json:"badge"`
	Size        int       `json:"size"`
	Accepted    time.Time `json:"accepted"`
	Expires     time.Time `json:"expires"`
	// Due is when the device is tried next, and until when the attempt's lease lasts if one is under way.
	Due time.Time `json:"due"`
	// Attempts is how often in a row the device could not be served.
	Attempts int  `json:"attempts"`
	Running  bool `json:"running"`
	// Group is whom the host belongs to, where devices choose it, and Standing what was known of device and host when the entry was
	// accepted: stranger, guest or proven. When the outbox is full, they decide what makes way.
	Group    string `json:"group,omitempty"`
	Standing string `json:"standing,omitempty"`
}

// NewEntry is an entry for an operator.
func NewEntry(w outbox.Waiting) Entry {
	return Entry{
		w.ID, w.App, hex.EncodeToString(w.Device[:]), w.Replace == outbox.ReplaceBadge, w.Size, w.Accepted, w.Expires, w.Due, w.Attempts,
		w.Running, w.Group, w.Standing.String(),
	}
}

// Retried is what is tried now.
type Retried struct {
	App         string `json:"app"`
	PushkeyHash string `json:"pushkey_hash,omitempty"`
	// Configured says whether anybody tries: nothing of an app that is not configured is tried.
	Configured bool `json:"configured"`
}

// Dropped is how many entries of the outbox were given up.
type Dropped struct {
	App         string `json:"app"`
	PushkeyHash string `json:"pushkey_hash,omitempty"`
	Dropped     int    `json:"dropped"`
	// Next is the cursor to go on with, if the request could not work through all that waits.
	Next string `json:"next,omitempty"`
}

// FuseReset says whether a fuse that was reset was tripped.
type FuseReset struct {
	WasTripped bool `json:"was_tripped"`
}

// Failure is the answer to a request that failed.
type Failure struct {
	Error string `json:"error"`
	// Candidates are the hashes that begin with what was given, if there are several.
	Candidates []string `json:"candidates,omitempty"`
}
