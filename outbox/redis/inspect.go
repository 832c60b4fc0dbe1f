package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

const (
	// inspectTime bounds how long an operator waits for Redis.
	inspectTime = 5 * time.Second
	// maxPage bounds a page.
	maxPage = 1000
	// maxShown bounds how many entries a script shows: Redis does nothing else meanwhile, and pushes may be large.
	maxShown = 100
)

// depth is what a shard has of an app, and when the first entry expires.
type depth struct {
	outbox.Depth
	expires time.Time
}

func (s *shard) depths(ctx context.Context, b bounds.Bounds) (depths []depth, err error) {
	var apps []string
	err = s.enter(func() error {
		apps, err = s.queue.Client.SMembers(ctx, s.keys.apps).Result()
		return err
	})
	for _, app := range apps {
		d, err := s.depth(ctx, app, b)
		if err != nil {
			return nil, err
		}
		depths = append(depths, d)
	}
	return depths, err
}

func (s *shard) depth(ctx context.Context, app string, b bounds.Bounds) (d depth, err error) {
	answer, err := s.ask(ctx, depthScript, s.keys.of(app))
	if err != nil {
		return d, err
	}
	v := read(answer)
	d.Depth = outbox.Depth{App: app, Entries: int(v.number()), Devices: int(v.number())}
	if e, err := decodeHead(v.text()); err == nil {
		d.Oldest, d.expires = e.Accepted, e.Expires
	}
	size, strangers, theirs := v.number(), v.number(), v.number()
	d.Full = b.Full(bounds.Amount{Entries: d.Entries - int(strangers), Size: size - theirs})
	return d, v.err()
}

// list pages by device, in the order of the devices' names in Redis. A cursor names the last entry of its page.
func (s *shard) list(ctx context.Context, app, cursor string, limit int) (page []outbox.Waiting, next string, err error) {
	at, err := parsePosition(cursor)
	if err != nil {
		return nil, "", err
	}
	for len(page) < limit {
		var some []outbox.Waiting
		if some, at, err = s.show(ctx, app, at, min(limit-len(page), maxShown)); err != nil {
			return nil, "", err
		}
		if page = append(page, some...); at == (position{}) {
			break
		}
	}
	return page, at.String(), nil
}

// show returns a part of a page, and the position to continue after: the zero one if there is no more.
func (s *shard) show(ctx context.Context, app string, from position, most int) (some []outbox.Waiting, last position, err error) {
	answer, err := s.ask(ctx, listScript, s.keys.of(app), from.device, from.seq, most)
	if err != nil {
		return nil, last, err
	}
	v := read(answer)
	device, number := v.text(), v.text()
	if err := v.err(); err != nil {
		return nil, last, err
	}
	now := time.Now() // Redis' clock may differ
	for len(v.rest) > 0 {
		w := outbox.Waiting{
			App: app, Device: deviceOf(v.text()), ID: v.text(), Size: int(v.number()),
			Replace: v.text(), Host: v.text(), Due: now.Add(time.Duration(v.number() * int64(time.Millisecond))),
			Attempts: int(v.number()), Running: v.number() == 1,
		}
		if e, err := decodeHead(v.text()); err == nil { // otherwise, it can still be dropped
			w.Accepted, w.Expires, w.Group, w.Standing = e.Accepted, e.Expires, e.Group, e.Standing
		}
		some = append(some, w)
	}
	if device != "" {
		seq, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return nil, last, fmt.Errorf("redis: %w", err)
		}
		last = position{device, seq}
	}
	return some, last, nil
}

// position is an entry's place in the order in which an app's entries are listed.
type position struct {
	device string // its key
	seq    uint64
}

// String returns the position as a cursor: empty for the zero one.
func (p position) String() string {
	if p == (position{}) {
		return ""
	}
	return p.device + "-" + strconv.FormatUint(p.seq, 10)
}

func parsePosition(cursor string) (p position, err error) {
	if cursor == "" {
		return p, nil
	}
	device, number, _ := strings.Cut(cursor, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || device != deviceKey(deviceOf(device)) {
		return p, outbox.ErrCursor
	}
	return position{device, seq}, nil
}

func (s *shard) rouseDevice(ctx context.Context, app string, device [16]byte) (found bool, err error) {
	reply, err := s.change(ctx, rouseDeviceScript, s.keys.of(app), deviceKey(device))
	if err != nil {
		return false, err
	}
	s.soon(app)
	return reply.Bool()
}

func (s *shard) drop(ctx context.Context, app string, device [16]byte, id string) (dropped int, err error) {
	reply, err := s.change(ctx, dropScript, s.keys.of(app), deviceKey(device), id)
	if err != nil {
		return 0, err
	}
	s.soon(app)
	return reply.Int()
}
