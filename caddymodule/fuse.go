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

// Fuse configures the fuse, which protects against mass rejections. If a large share of an app's pushkeys is rejected within a short time,
// the configuration is probably wrong, or a push service is failing. The fuse then trips, and the gateway alerts you.
//
// The fuse counts how many of an app's pushkeys get a push, and how many are rejected. It trips if it counts at least 20 rejected pushkeys
// within `window`, and these are a larger share of all counted pushkeys than `share` allows. The gateway then withdraws the rejections that
// it recorded within `window`, and holds back further rejections. Pushes to the affected pushkeys go to the outbox. Without an outbox, the
// gateway answers requests for these pushkeys with 503, so homeservers send the pushes again. There is one more fuse, for all devices whose
// app_id matches none of the site's apps.
//
// With some providers, such as `unifiedpush` and `webpush`, devices choose their push servers. For these providers, the fuse also has a
// separate count for each server. If only a single server rejects too many pushkeys, the gateway holds back only that server's rejections.
//
// The fuse counts rejections separately for devices that have already received a push. If too many of these devices are rejected, the
// gateway alerts you, even if pushes to many other devices are accepted. The separate count is necessary because anyone can make up
// devices that have never received a push. If only devices that have never received a push trip the fuse, the gateway holds back only
// their rejections, and logs a warning.
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
