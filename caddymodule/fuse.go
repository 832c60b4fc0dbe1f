package caddymodule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

// Fuse protects against mass rejections. If a large share of an app's pushkeys is rejected within a short time, the probable cause is a
// wrong configuration or a failing push service. The fuse then trips, and the gateway alerts you.
//
// The fuse trips when at least 20 pushkeys of an app, and more than `share` of all its pushkeys, are rejected within `window`. The gateway
// then withdraws the rejections of that window, and holds back further rejections. Pushes to the affected pushkeys go to the outbox.
// Without an outbox, the gateway answers 503, so the homeserver sends them again. All devices whose app_id belongs to no app of the site
// share one fuse.
//
// If devices choose the push server, the fuse also counts the pushkeys of each server separately. If only one server rejects too many, the
// gateway holds back only that server's rejections.
//
// The fuse also counts devices that have already received a push separately. If too many of these are rejected, you are alerted, even if
// many other devices are not rejected. Anyone can make up devices that have never received a push. If only such devices trip the fuse, the
// gateway holds back only their rejections, and logs a warning.
//
// The fuse resets itself when the share of rejected pushkeys is no longer above `share`. It stays tripped for at least a tenth of `window`.
type Fuse struct {
	// The share of an app's pushkeys that may be rejected before the fuse trips: a number between 0 and 1. 1 turns the fuse off. Default: 0.5.
	Share float64 `json:"share,omitempty"`

	// The length of the period in which the fuse counts rejected pushkeys: at least one minute. Default: 10m.
	Window caddy.Duration `json:"window,omitempty"`
}

const (
	defaultFuseShare  = 0.5
	defaultFuseWindow = 10 * time.Minute
)

// options returns the engine's options, with defaults. A nil Fuse means only the defaults.
func (f *Fuse) options() (gateway.FuseOptions, error) {
	o := gateway.FuseOptions{Share: defaultFuseShare, Window: defaultFuseWindow}
	if f == nil {
		return o, nil
	}
	if f.Share != 0 {
		o.Share = f.Share
	}
	if f.Window != 0 {
		o.Window = time.Duration(f.Window)
	}
	switch {
	case o.Share < 0 || o.Share > 1:
		return o, fmt.Errorf("fuse: share: %v is not between 0 and 1", o.Share)
	case o.Window < time.Minute:
		return o, errors.New("fuse: window: must be at least 1m, such as 10m")
	}
	return o, nil
}

// unmarshal parses
//
//	fuse <percent>% [<window>]
//	fuse off
func (f *Fuse) unmarshal(d *caddyfile.Dispenser) error {
	name, args := d.Val(), d.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] == "off":
		f.Share = 1
		return nil
	case len(args) < 1 || len(args) > 2:
		return caddyfileopt.Args(d, name, "<percent>% [<window>], such as 50% 10m, or off")
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(args[0], "%"), 64)
	if err != nil || !strings.HasSuffix(args[0], "%") || percent <= 0 || percent > 100 {
		return d.Errf("fuse: %q is neither off nor a share such as 50%%", args[0])
	}
	f.Share = percent / 100
	if len(args) == 2 {
		window, err := caddy.ParseDuration(args[1])
		if err != nil || window < time.Minute {
			return d.Errf("fuse: %q is not a duration of at least 1m, such as 10m", args[1])
		}
		f.Window = caddy.Duration(window)
	}
	return nil
}
