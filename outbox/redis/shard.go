package redis

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// acceptance is the JSON that accept.lua reads. Times are milliseconds from now, except Accepted.
type acceptance struct {
	ID        string `json:"id"`
	Size      int    `json:"size"`
	Host      string `json:"host"`
	Replace   string `json:"replace"`
	PushkeyTS int64  `json:"ts"`
	Accepted  int64  `json:"accepted"` // by the gateway's clock; 0 if unknown
	Running   bool   `json:"running"`
	Delay     int64  `json:"delay"`
	Expires   int64  `json:"expires"`
	Remember  int64  `json:"remember"` // the event; 0 if there is no event
	Lease     int64  `json:"lease"`
	Entries   int    `json:"entries"`
	PerDevice int    `json:"per_device"`
	MaxSize   int64  `json:"max_size"`

	Group           string `json:"group"`
	Standing        uint8  `json:"standing"`
	GroupEntries    int    `json:"group_entries"`
	GroupSize       int64  `json:"group_size"`
	StrangerEntries int    `json:"stranger_entries"`
	StrangerSize    int64  `json:"stranger_size"`
	Shards          string `json:"shards"`
	MostDisplaced   int    `json:"most_displaced"`
	Looks           int    `json:"looks"`
}

// maxLooks bounds how many entries a script looks at to find entries to displace. It is larger than MaxDisplaced because of what earlier
// versions left.
const maxLooks = 4 * bounds.MaxDisplaced

// These are the results of accept.lua.
const (
	full = iota
	accepted
	late  // it was settled or discarded before
	taken // another gateway has its event
	deviceFull
	resharded // there is another number of shards
	unmarked  // nobody has written how many shards there are
)

func newAcceptance(e *outbox.Entry, b bounds.Bounds, shards int) acceptance {
	group, strangers := b.OfGroup(), b.OfStrangers()
	a := acceptance{
		ID: e.ID, Size: len(e.Push), Host: e.Host, Replace: e.Replace, PushkeyTS: clamp(e.PushkeyTS), Accepted: milli(e.Accepted),
		Running: e.Running, Delay: delay(e.Due), Expires: time.Until(e.Expires).Milliseconds(), Lease: outbox.LeaseTime.Milliseconds(),
		Entries: b.PerApp, PerDevice: b.PerDevice, MaxSize: clamp(b.Size),
		Group: strings.ReplaceAll(e.Group, " ", "_"), Standing: uint8(min(e.Standing, outbox.Proven)),
		GroupEntries: group.Entries, GroupSize: clamp(group.Size), StrangerEntries: strangers.Entries, StrangerSize: clamp(strangers.Size),
		Shards: strconv.Itoa(shards), MostDisplaced: bounds.MaxDisplaced, Looks: maxLooks,
	}
	if e.Event != ([16]byte{}) {
		a.Remember = delay(e.EventUntil)
	}
	return a
}

// accept gives an entry to the shard. The first entry of a new shard has to wait until the shards' number is known to be right.
func (s *shard) accept(
	ctx context.Context, e *outbox.Entry, b bounds.Bounds, want redisclient.Acknowledge,
) (displaced []outbox.Ref, err error) {
	result, displaced, err := s.acceptOnce(ctx, e, b, want)
	if err == nil && result == unmarked {
		if err = s.queue.Enter(func() error { return s.queue.adopt(ctx) }); err == nil {
			result, displaced, err = s.acceptOnce(ctx, e, b, want)
		}
	}
	if err != nil {
		return nil, err
	}
	switch result {
	case full:
		return nil, outbox.ErrFull
	case deviceFull:
		return nil, outbox.ErrDeviceFull
	case taken:
		return nil, outbox.ErrTaken
	case resharded, unmarked:
		return nil, s.wrongNumber()
	case late:
		return displaced, nil
	}
	if e.Running {
		s.queue.Hold(e.ID)
	} else {
		s.queue.LetGo(ctx, e.ID)
		s.soon(e.App)
	}
	return displaced, nil
}

// acceptance returns the keys and arguments of accept.lua.
func (s *shard) acceptance(e *outbox.Entry, b bounds.Bounds) (keys []string, args []any, err error) {
	value, err := encode(e)
	if err != nil {
		return nil, nil, err
	}
	a, err := json.Marshal(newAcceptance(e, b, len(s.queue.shards)))
	keys = append(s.keys.of(e.App), s.keys.apps, s.keys.event(e.Event), s.keys.gone(e.Ref()), s.keys.discarded(e.App, e.Device), s.keys.shards)
	return keys, []any{e.App, deviceKey(e.Device), s.queue.owner, value, a}, err
}

// acceptOnce calls accept.lua once. A refusal needs no confirmation by other servers.
func (s *shard) acceptOnce(
	ctx context.Context, e *outbox.Entry, b bounds.Bounds, want redisclient.Acknowledge,
) (result int64, displaced []outbox.Ref, err error) {
	keys, args, err := s.acceptance(e, b)
	if err != nil {
		return 0, nil, err
	}
	answer, err := s.changeSurely(ctx, want, acceptScript, keys, args...)
	if err != nil && !isUnconfirmed(err) {
		return 0, nil, err
	}
	v := read(answer)
	result = v.number()
	for len(v.rest) > 0 {
		displaced = append(displaced, outbox.Ref{App: e.App, Device: deviceOf(v.text()), ID: v.text()})
	}
	switch {
	case v.err() != nil || result < full || result > unmarked:
		return 0, nil, errNonsense
	case err != nil && (result == accepted || result == late):
		return 0, nil, err // the call that makes sure returns the displaced entries
	}
	return result, displaced, nil
}

// settle retries later if it fails: a delivered push must not be delivered again.
func (s *shard) settle(ctx context.Context, r outbox.Ref) error {
	defer s.queue.LetGo(ctx, r.ID)
	err := s.settleOnce(ctx, r)
	if err != nil && !errors.Is(err, outbox.ErrNotOpen) {
		s.owed.add(r)
		s.notes.signal()
	}
	return err
}

func (s *shard) settleOnce(ctx context.Context, r outbox.Ref) error {
	keys := append(s.keys.of(r.App), s.keys.gone(r))
	reply, err := s.change(ctx, settleScript, keys, deviceKey(r.Device), r.ID, s.queue.owner, outbox.LeaseTime.Milliseconds())
	if err != nil {
		return err
	}
	left, err := reply.Int()
	if err != nil {
		return errNonsense
	}
	if left > 0 {
		s.soon(r.App)
	}
	return nil
}

func (s *shard) release(ctx context.Context, r outbox.Ref, due time.Time, tried bool) error {
	defer s.queue.LetGo(ctx, r.ID)
	more := 0
	if tried {
		more = 1
	}
	_, err := s.change(ctx, releaseScript, s.keys.of(r.App), deviceKey(r.Device), r.ID, s.queue.owner, delay(due), more)
	s.soon(r.App)
	return err
}

func (s *shard) discard(ctx context.Context, app string, device [16]byte, pushkeyTS int64) error {
	keys := append(s.keys.of(app), s.keys.discarded(app, device))
	_, err := s.change(ctx, discardScript, keys, deviceKey(device), clamp(pushkeyTS), milli(time.Now()), outbox.LeaseTime.Milliseconds())
	return err
}

func (s *shard) waiting(ctx context.Context, app string, device [16]byte) (waits bool, err error) {
	err = s.enter(func() error {
		waits, err = s.queue.Client.HExists(ctx, s.keys.of(app)[2], deviceKey(device)).Result()
		return err
	})
	return waits, err
}
