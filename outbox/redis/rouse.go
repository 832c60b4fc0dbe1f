package redis

import (
	"context"
	"math/rand/v2"
)

// maxBatch bounds how many devices or entries a script looks at: Redis does nothing else meanwhile.
const maxBatch = 500

func (s *shard) rouse(ctx context.Context, app string) error {
	defer s.soon(app)
	for skip := int64(0); ; {
		answer, err := s.change(ctx, rouseScript, s.keys.of(app), skip, maxBatch)
		if err != nil {
			return err
		}
		v := read(answer)
		seen, skipped := v.number(), v.number()
		if seen < maxBatch {
			return v.err()
		}
		skip += skipped
	}
}

// rouseHost goes through a host's devices in the order of their names. If only some must be due, it begins at a random place, so a host is
// not always tried with the same device.
func (s *shard) rouseHost(ctx context.Context, app, host string, most int) (due int, err error) {
	defer s.soon(app)
	if most <= 0 {
		return s.rouseBetween(ctx, app, host, "", "", -1)
	}
	start := hostPlace(host, deviceKey(randomDevice()))
	if due, err = s.rouseBetween(ctx, app, host, start, "", most); err != nil || due == most {
		return due, err
	}
	more, err := s.rouseBetween(ctx, app, host, "", start, most-due)
	return due + more, err
}

// rouseBetween makes the devices between two places due, until so many are; -1 for all.
func (s *shard) rouseBetween(ctx context.Context, app, host, from, upto string, most int) (due int, err error) {
	for {
		left := most
		if most > 0 {
			left -= due
		}
		answer, err := s.change(ctx, rouseHostScript, s.keys.of(app), host, from, upto, left, maxBatch)
		if err != nil {
			return due, err
		}
		v := read(answer)
		due += int(v.number())
		if from = v.text(); from == "" || due == most {
			return due, v.err()
		}
	}
}

// hostPlace returns the place of a device among those of a host.
func hostPlace(host, device string) string {
	if host == "" {
		return device
	}
	return host + " " + device
}

func randomDevice() (device [16]byte) {
	for i := range device {
		device[i] = byte(rand.Uint32()) //nolint:gosec // no secret
	}
	return device
}
