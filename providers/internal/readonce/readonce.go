// Package readonce remembers what a provider read from its devices. The gateway asks a provider several times about the same device for
// each push: whether it is usable, its target, its host, and then for the push itself.
package readonce

import (
	"bytes"
	"hash/maphash"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// maxDevices is how many devices are remembered, as many as an app has pushes in progress. Strangers choose the devices: if there are
	// more at the same time, some are read again during a push.
	maxDevices = 2048
	// maxSize is how many bytes of a pushkey and data are remembered. Nearly all devices are smaller.
	maxSize = 1 << 10
)

// Devices remembers the values that were read from the devices that were used last. A nil Devices remembers nothing. It is safe for
// concurrent use.
type Devices[T any] struct {
	seed maphash.Seed
	last *lru.Cache[uint64, *device[T]]
}

// device is a device, and the value that was read from it.
type device[T any] struct {
	pushkey string
	data    []byte
	value   T
}

// New returns an empty Devices.
func New[T any]() (*Devices[T], error) {
	last, err := lru.New[uint64, *device[T]](maxDevices)
	return &Devices[T]{maphash.MakeSeed(), last}, err
}

// Peek returns what Get returned for the device, if that is remembered. It is for what can be read with less work than the whole device:
// strangers choose whether a device is remembered.
func (c *Devices[T]) Peek(d *providers.Device) (value T, ok bool) {
	if c == nil || isLarge(d) {
		return value, false
	}
	return c.get(c.key(d), d)
}

// Get returns what read returns for the device, or what it returned before for the same pushkey and data. So the value must depend only on
// them, and be immutable. Errors are not remembered.
func (c *Devices[T]) Get(d *providers.Device, read func(*providers.Device) (T, error)) (T, error) {
	if c == nil || isLarge(d) {
		return read(d)
	}
	key := c.key(d)
	if value, ok := c.get(key, d); ok {
		return value, nil
	}
	// The device may be a part of a request's body. What is remembered must not keep that in memory.
	kept := &providers.Device{Pushkey: strings.Clone(d.Pushkey), Data: bytes.Clone(d.Data)}
	value, err := read(kept)
	if err == nil {
		c.last.Add(key, &device[T]{kept.Pushkey, kept.Data, value})
	}
	return value, err
}

// isLarge reports whether a device is too large to be remembered.
func isLarge(d *providers.Device) bool { return len(d.Pushkey)+len(d.Data) > maxSize }

// get returns the value of a device whose key is known, if it is remembered.
func (c *Devices[T]) get(key uint64, d *providers.Device) (value T, ok bool) {
	known, ok := c.last.Get(key)
	if !ok || known.pushkey != d.Pushkey || !bytes.Equal(known.data, d.Data) {
		return value, false
	}
	return known.value, true
}

// key returns a hash that nobody else can predict, so nobody can choose a device that replaces another.
func (c *Devices[T]) key(d *providers.Device) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.WriteString(d.Pushkey)
	_ = h.WriteByte(0)
	_, _ = h.Write(d.Data)
	return h.Sum64()
}
