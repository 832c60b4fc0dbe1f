package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/internal/jsonopt"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the Matrix push gateway. It contains the apps that the gateway serves, their providers, the stores, and all other settings that
// apply to all sites. The handler `matrix_push` mounts the gateway's endpoint on a site.
//
// Without any options, the gateway has a single app, `*`, with the provider `unifiedpush`. It then delivers only to UnifiedPush endpoints.
type App struct {
	// The apps that the gateway serves. Each name is an app_id, or a pattern of app_ids: `*` matches any number of characters, and `?` matches
	// exactly one character. An exact app_id takes precedence over a pattern. If several patterns match, the gateway uses the one with the
	// longest text before its first wildcard. If there is a tie, it uses the one with the most characters that are not wildcards. The order of
	// the apps does not matter. A pattern that contains a slash is an error, and so are two patterns that are equally specific. The names
	// `_unknown`, `_other`, `@id`, `.` and `..` are reserved. Default: `*` with `unifiedpush`.
	Apps map[string]*AppConfig `json:"apps,omitempty"`

	// The store that records which pushkeys are dead or suspected: a module in the namespace `matrix_push.rejected`. Default: `file`.
	RejectedRaw json.RawMessage `json:"rejected,omitempty" caddy:"namespace=matrix_push.rejected inline_key=name"`

	// The outbox. It keeps and retries each push that is neither delivered nor rejected within the app's `wait`: a module in the namespace
	// `matrix_push.outbox`. With `off`, the gateway keeps no pushes, and the homeserver must send them again. Default: `file`.
	OutboxRaw json.RawMessage `json:"outbox,omitempty" caddy:"namespace=matrix_push.outbox inline_key=name"`

	// How long the gateway remembers that it delivered an event to a device. If a homeserver sends the event again in that time, the gateway
	// does not deliver it again. A homeserver may retry an event for up to a day, so use at least 24h. 0 turns this off. Default: 24h.
	Dedupe *caddy.Duration `json:"dedupe,omitempty"`

	// Sets when the fuse trips. While the fuse is tripped, the gateway does not report rejections to the homeserver. Default: it trips when
	// more than half of an app's pushkeys are rejected within 10m.
	Fuse *Fuse `json:"fuse,omitempty"`

	// The maximum size of a request body, in bytes. It must leave space for a Matrix event, which can have up to 64 KiB. Default: 262144 (256
	// KiB).
	MaxBody int64 `json:"max_body,omitempty"`

	// The maximum number of devices in one request. Homeservers send one device in each request. Default: 100.
	MaxDevices int `json:"max_devices,omitempty"`

	gateway  *gateway.Gateway
	observer *telemetry.Observer
	events   *telemetry.Events
	ctx      caddy.Context
	shared   *pooledState  // nil if this App has not joined it, or has left it
	started  chan struct{} // closed when the app has started
	stop     context.CancelFunc
	// hasProbeKey is closed when the key of probes is loaded, or nobody needs it any more.
	hasProbeKey chan struct{}
}

const (
	defaultDedupe     = 24 * time.Hour
	defaultMaxBody    = 256 << 10
	defaultMaxDevices = 100
)

// CaddyModule returns the module's name and constructor.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push", New: func() caddy.Module { return new(App) }}
}

// UnmarshalJSON decodes the gateway's options. Its errors name the option and its app.
func (a *App) UnmarshalJSON(raw []byte) error {
	type options App // without this method
	return jsonopt.Decode(raw, (*options)(a))
}

// Provision sets up the gateway. It opens nothing: Start does that.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.started, a.hasProbeKey = ctx, make(chan struct{}), make(chan struct{})
	if err := a.setDefaults(); err != nil {
		return err
	}
	if err := telemetry.Register(ctx.GetMetricsRegistry(), liveGateway); err != nil {
		return err
	}
	var err error
	if a.events, err = telemetry.NewEvents(ctx, liveEvents); err != nil {
		return err
	}
	fuse, err := a.Fuse.options()
	if err != nil {
		return err
	}
	router, err := a.provisionApps(ctx)
	if err != nil {
		return err
	}
	store, err := load[rejected.Store](ctx, a, "RejectedRaw", a.RejectedRaw, stores)
	if err != nil {
		return fmt.Errorf("rejected: %w", err)
	}
	box, err := load[outbox.Box](ctx, a, "OutboxRaw", a.OutboxRaw, outboxes)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	shared, _, err := pool.LoadOrNew(poolKey, newShared)
	if err != nil {
		return err
	}
	a.shared = shared.(*pooledState)
	a.observer = telemetry.NewObserver(ctx.Logger(), a.events.Emit)
	for _, app := range router.Apps() {
		app.Panicked = a.observer.Panicked
	}
	before, _ := liveGateway() // nil if none has started
	a.gateway = gateway.New(gateway.Options{
		Router:   router,
		Rejected: store,
		Outbox:   box,
		Dedupe:   time.Duration(*a.Dedupe),
		Fuse:     fuse,
		Shared:   a.shared.Shared,
		Observer: a.observer,
		Now:      time.Now,
		Jitter:   rand.N[time.Duration],
		Before:   before,
	})
	return nil
}

func (a *App) setDefaults() error {
	if a.Dedupe == nil {
		d := caddy.Duration(defaultDedupe)
		a.Dedupe = &d
	}
	if a.MaxBody == 0 {
		a.MaxBody = defaultMaxBody
	}
	if a.MaxDevices == 0 {
		a.MaxDevices = defaultMaxDevices
	}
	switch {
	case *a.Dedupe < 0:
		return fmt.Errorf("dedupe: %s is negative: use 0 or more, such as 24h", time.Duration(*a.Dedupe))
	case a.MaxBody < 0:
		return fmt.Errorf("max_body: %d is negative: use a number above 0", a.MaxBody)
	case a.MaxDevices < 0:
		return fmt.Errorf("max_devices: %d is negative: use a number above 0", a.MaxDevices)
	}
	return nil
}

func (a *App) provisionApps(ctx caddy.Context) (*gateway.Router, error) {
	if len(a.Apps) == 0 {
		a.Apps = map[string]*AppConfig{"*": {ProviderRaw: json.RawMessage(`{"name":"unifiedpush"}`)}}
	}
	apps := make([]*gateway.App, 0, len(a.Apps))
	for _, pattern := range slices.Sorted(maps.Keys(a.Apps)) { // sorted, so the first error is always the same
		if err := gateway.CheckPattern(pattern); err != nil {
			return nil, err
		}
		app, err := a.Apps[pattern].provision(ctx, pattern, a.keepsNothing())
		if err != nil {
			return nil, fmt.Errorf("app %q: %w", pattern, err)
		}
		apps = append(apps, app)
	}
	return gateway.NewRouter(apps)
}

// keepsNothing reports whether the outbox is off.
func (a *App) keepsNothing() bool {
	var box struct {
		Name string `json:"name"`
	}
	return a.OutboxRaw != nil && json.Unmarshal(a.OutboxRaw, &box) == nil && box.Name == "off"
}

// load loads the guest module of a field, or the module file if the field is empty.
func load[T any](ctx caddy.Context, a *App, field string, raw json.RawMessage, kind guests) (guest T, err error) {
	var mod any
	if raw == nil {
		mod, err = ctx.LoadModuleByID(kind.id("file"), nil)
	} else {
		if err := kind.try(raw); err != nil {
			return guest, err
		}
		mod, err = ctx.LoadModule(a, field)
	}
	if err != nil {
		return guest, err
	}
	guest, ok := mod.(T)
	if !ok {
		return guest, fmt.Errorf("module %T does not implement the interface of its namespace", mod)
	}
	return guest, nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
