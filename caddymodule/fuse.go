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
)

// Fuse sets when so many pushkeys are rejected at once that the configuration is probably wrong. The fuse trips if more than the share of
// an app's pushkeys, and at least 20, are rejected within the window. The rejections of the window are withdrawn, and further ones are
// held. The pushes go to the outbox, or are answered with 503, so the homeserver sends them again. If devices choose the push server, each
// server's pushkeys are also counted. If only one server is affected, only its rejections are held. All devices of unknown apps share one
// fuse. Devices that got pushes before are also counted separately: if too many of them are rejected, you are alerted, however many others
// are fine. Anyone can make up the others: if only these trip the fuse, only their rejections are held, and you get a warning. A fuse
// resets itself when the share drops, after a tenth of the window at the earliest.
type Fuse struct {
	// The share of pushkeys that may be rejected, between 0 and 1. 1 turns the fuse off. Default: 0.5.
	Share float64 `json:"share,omitempty"`

	// The period in which pushkeys are counted, at least one minute. Default: 10m.
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
		return o, errors.New("fuse: window: must be at least 1m")
	}
	return o, nil
}

// unmarshal parses
//
//	fuse <percent>% [<window>]
//	fuse off
func (f *Fuse) unmarshal(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] == "off":
		f.Share = 1
		return nil
	case len(args) < 1 || len(args) > 2:
		return d.ArgErr()
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(args[0], "%"), 64)
	if err != nil || !strings.HasSuffix(args[0], "%") || percent <= 0 || percent > 100 {
		return d.Errf("fuse: %q is neither off nor a share such as 50%%", args[0])
	}
	f.Share = percent / 100
	if len(args) == 2 {
		window, err := caddy.ParseDuration(args[1])
		if err != nil || window < time.Minute {
			return d.Errf("fuse: %q is not a duration of at least 1m", args[1])
		}
		f.Window = caddy.Duration(window)
	}
	return nil
}
