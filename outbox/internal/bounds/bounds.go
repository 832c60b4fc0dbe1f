// Package bounds has the options that limit what an outbox may hold. All outboxes share them.
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

// Bounds limits how many pushes an app and a device may have in an outbox, and how many bytes an app's pushes may take.
type Bounds struct {
	PerApp, PerDevice int
	Size              int64
	// Parts is of how many parts of an outbox these are the limits of one; 0 for the whole outbox.
	Parts int
}

// Amount is an amount of room: a number of pushes and a number of bytes.
type Amount struct {
	Entries int
	Size    int64
}

// MaxDisplaced bounds how many entries one push may displace: the box does nothing else meanwhile.
const MaxDisplaced = 64

// Room returns the room that all of an app's entries may take.
func (b Bounds) Room() Amount { return Amount{b.PerApp, b.Size} }

// OfGroup returns the room that the entries of one group may take: three quarters, so a quarter is left to the others.
func (b Bounds) OfGroup() Amount { return Amount{b.PerApp - b.PerApp/4, b.Size - b.Size/4} }

// maxStrangers bounds the room of strangers however large the room is: an entry also takes half a kilobyte of memory. All parts share it.
var maxStrangers = Amount{25_000, 64 << 20}

// OfStrangers returns the room that the entries of all strangers may take: half, and at most maxStrangers.
func (b Bounds) OfStrangers() Amount {
	parts := max(1, b.Parts)
	return Amount{min(b.PerApp-b.PerApp/2, maxStrangers.Entries/parts), min(b.Size-b.Size/2, maxStrangers.Size/int64(parts))}
}

// Shut reports whether a group may have no more proven entries: it has three times the room that all proven entries leave.
// One group by itself gets three quarters of the room, two groups get three sevenths each, and so on, so another group always finds room.
func (b Bounds) Shut(own, all Amount) bool {
	return own.Entries >= 3*(b.PerApp-all.Entries) || own.Size >= 3*(b.Size-all.Size)
}

// fullPush is more than a push takes: push services accept some 4 KB at most.
const fullPush = 8 << 10

// Full reports whether this amount uses the room up.
func (b Bounds) Full(used Amount) bool {
	return used.Entries >= b.PerApp || used.Size > b.Size-min(fullPush, b.Size/64)
}

// Small reports whether there is only room for a few large pushes.
func (b Bounds) Small() bool { return b.Size < 8*fullPush }

// Options points to the fields of an outbox's configuration: max_per_app, max_per_device and max_size. 0 means the default.
type Options struct {
	PerApp, PerDevice *int
	Size              *int64
}

// Check returns an error for an option that is not valid.
func (o Options) Check() error {
	switch {
	case *o.PerApp < 0:
		return errors.New("max_per_app: is negative: use a number above 0")
	case *o.PerDevice < 0:
		return errors.New("max_per_device: is negative: use a number above 0")
	case *o.Size < 0:
		return errors.New("max_size: is negative: use a number of bytes above 0")
	}
	return nil
}

// Bounds returns the options with their defaults.
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

// Caddyfile returns the options by their names in a Caddyfile.
func (o Options) Caddyfile() map[string]caddyfileopt.Option {
	return map[string]caddyfileopt.Option{
		"max_per_app":    caddyfileopt.Once(o.PerApp, number),
		"max_per_device": caddyfileopt.Once(o.PerDevice, number),
		"max_size":       caddyfileopt.Once(o.Size, size),
	}
}

var (
	number = caddyfileopt.Parser[int]{Form: "<number>", Parse: parseNumber}
	size   = caddyfileopt.Parser[int64]{Form: "<size>, such as 256MiB", Parse: parseSize}
)

func parseNumber(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a number above 0", arg)
	}
	return n, nil
}

func parseSize(arg string) (int64, error) {
	n, err := humanize.ParseBytes(arg)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size such as 256MiB", arg)
	}
	return int64(n), nil
}
