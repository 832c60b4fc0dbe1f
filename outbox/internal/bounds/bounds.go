// Package bounds has the options about how much may wait, which the outboxes have in common.
package bounds

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

const (
	defaultPerApp    = 100_000
	defaultPerDevice = 200
	defaultSize      = 256 << 20
)

// Bounds are how many pushes an app and a device may have in an outbox, and how many bytes those of an app may take.
type Bounds struct {
	PerApp, PerDevice int
	Size              int64
}

// Amount is a part of the room: how many pushes, and how many bytes.
type Amount struct {
	Entries int
	Size    int64
}

// MaxDisplaced bounds how many entries make way for one: the box does nothing else meanwhile.
const MaxDisplaced = 64

// Room is what all of an app's entries may have.
func (b Bounds) Room() Amount { return Amount{b.PerApp, b.Size} }

// OfGroup is what those of one group may have: three quarters, so the others find a quarter.
func (b Bounds) OfGroup() Amount { return Amount{b.PerApp - b.PerApp/4, b.Size - b.Size/4} }

// maxStrangers bounds what strangers have however much room there is: an entry takes half a kilobyte of memory as well.
var maxStrangers = Amount{25_000, 64 << 20}

// OfStrangers is what those of all strangers may have: half, and no more than maxStrangers.
func (b Bounds) OfStrangers() Amount {
	return Amount{min(b.PerApp-b.PerApp/2, maxStrangers.Entries), min(b.Size-b.Size/2, maxStrangers.Size)}
}

// Shut reports whether a group may have no more proven entries: its own are three times what is left of the room by all proven ones. A group
// that is alone gets three quarters, of two each gets three sevenths, and so on: a further group always finds something.
func (b Bounds) Shut(own, all Amount) bool {
	return own.Entries >= 3*(b.PerApp-all.Entries) || own.Size >= 3*(b.Size-all.Size)
}

// fullPush is more than what a push takes, as push services take some 4 KB at most.
const fullPush = 8 << 10

// Full reports whether so much uses the room up.
func (b Bounds) Full(used Amount) bool {
	return used.Entries >= b.PerApp || used.Size > b.Size-min(fullPush, b.Size/64)
}

// Options are where an outbox has the bounds in its configuration: max_per_app, max_per_device and max_size. 0 stands for the default.
type Options struct {
	PerApp, PerDevice *int
	Size              *int64
}

// Check finds an option that cannot be.
func (o Options) Check() error {
	switch {
	case *o.PerApp < 0:
		return errors.New("max_per_app: is negative")
	case *o.PerDevice < 0:
		return errors.New("max_per_device: is negative")
	case *o.Size < 0:
		return errors.New("max_size: is negative")
	}
	return nil
}

// Bounds are the options with their defaults.
func (o Options) Bounds() Bounds {
	b := Bounds{PerApp: *o.PerApp, PerDevice: *o.PerDevice, Size: *o.Size}
	if b.PerApp == 0 {
		b.PerApp = defaultPerApp
	}
	if b.PerDevice == 0 {
		b.PerDevice = defaultPerDevice
	}
	if b.Size == 0 {
		b.Size = defaultSize
	}
	return b
}

// Caddyfile are the options by their names.
func (o Options) Caddyfile() map[string]caddyfileopt.Option {
	return map[string]caddyfileopt.Option{
		"max_per_app":    caddyfileopt.Once(o.PerApp, number),
		"max_per_device": caddyfileopt.Once(o.PerDevice, number),
		"max_size":       caddyfileopt.Once(o.Size, size),
	}
}

func number(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a number above 0", arg)
	}
	return n, nil
}

func size(arg string) (int64, error) {
	n, err := humanize.ParseBytes(arg)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size such as 256MiB", arg)
	}
	return int64(n), nil
}
