package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// each calls fn for all shards at once, so one that does not answer holds no other up. It returns the errors of all of them.
func (q *queue) each(fn func(s *shard) error) error {
	errs := make([]error, len(q.shards))
	var all sync.WaitGroup
	for n, s := range q.shards {
		all.Go(func() { errs[n] = fn(s) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (q *queue) rouse(ctx context.Context, app string) error {
	return q.each(func(s *shard) error { return s.rouse(ctx, app) })
}

// rouseHost makes some devices of a host due, in one shard after the other, beginning with any of them, or all devices in all shards. For
// some devices, it does not wait for a shard that does not work.
func (q *queue) rouseHost(ctx context.Context, app, host string, most int) (due int, err error) {
	if most <= 0 {
		counts := make([]int, len(q.shards))
		err = q.each(func(s *shard) (err error) {
			counts[s.number], err = s.rouseHost(ctx, app, host, 0)
			return err
		})
		for _, n := range counts {
			due += n
		}
		return due, err
	}
	var errs []error
	for first, n := rand.IntN(len(q.shards)), 0; n < len(q.shards) && due < most; n++ { //nolint:gosec // no secret
		s := q.shards[(first+n)%len(q.shards)]
		if trouble := s.trouble.Load(); trouble != nil {
			errs = append(errs, *trouble)
			continue
		}
		some, err := s.rouseHost(ctx, app, host, most-due)
		due, errs = due+some, append(errs, err)
	}
	if due == most {
		return due, nil // there are enough, wherever they are
	}
	return due, errors.Join(errs...)
}

// depths adds up what the shards have. If only some shards can be read, the error is a PartError.
func (q *queue) depths(ctx context.Context, b bounds.Bounds) (depths []outbox.Depth, err error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTime)
	defer cancel()
	all := make([][]depth, len(q.shards))
	missing := make([]bool, len(q.shards))
	err = q.each(func(s *shard) (err error) {
		all[s.number], err = s.depths(ctx, b)
		missing[s.number] = err != nil
		return err
	})
	if err != nil {
		names := namesOf(missing)
		if len(names) == len(q.shards) {
			return nil, err
		}
		err = &outbox.PartError{Parts: fmt.Sprintf("shards %s of %d", strings.Join(names, ", "), len(q.shards)), Err: err}
	}
	for _, d := range sum(all) {
		if d.Entries > 0 {
			depths = append(depths, d.Depth)
		}
	}
	return depths, err
}

func namesOf(chosen []bool) (names []string) {
	for n, yes := range chosen {
		if yes {
			names = append(names, strconv.Itoa(n))
		}
	}
	return names
}

// sum adds up the shards' depths by app.
func sum(all [][]depth) []depth {
	byApp := make(map[string]depth)
	for _, some := range all {
		for _, d := range some {
			s, found := byApp[d.App]
			if !found || d.Entries > 0 && (s.Entries == 0 || d.expires.Before(s.expires)) {
				s.Oldest, s.expires = d.Oldest, d.expires
			}
			s.App, s.Entries, s.Devices, s.Full = d.App, s.Entries+d.Entries, s.Devices+d.Devices, s.Full || d.Full
			byApp[d.App] = s
		}
	}
	return slices.SortedFunc(maps.Values(byApp), func(a, b depth) int { return cmp.Compare(a.App, b.App) })
}

// list pages through one shard after the other. The cursor begins with the shard's number, unless there is only one shard.
func (q *queue) list(ctx context.Context, app, cursor string, limit int) (page []outbox.Waiting, next string, err error) {
	number, at := 0, cursor
	if len(q.shards) > 1 && cursor != "" {
		name, rest, _ := strings.Cut(cursor, "/")
		if number, err = strconv.Atoi(name); err != nil || number < 0 || number >= len(q.shards) || strconv.Itoa(number) != name {
			return nil, "", outbox.ErrCursor
		}
		at = rest
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTime)
	defer cancel()
	for limit = max(1, min(limit, maxPage)); ; number++ {
		some, rest, err := q.shards[number].list(ctx, app, at, limit-len(page))
		if err != nil {
			return nil, "", err
		}
		page, at = append(page, some...), ""
		switch {
		case rest != "" && len(q.shards) > 1:
			return page, strconv.Itoa(number) + "/" + rest, nil
		case rest != "" || number == len(q.shards)-1:
			return page, rest, nil
		case len(page) == limit:
			return page, strconv.Itoa(number+1) + "/", nil
		}
	}
}

// recall reads the events that were delivered. It writes the waiting notes first.
func (q *queue) recall(ctx context.Context, yield func(event [16]byte)) error {
	return q.read(func(s *shard, yield func([16]byte)) error {
		return errors.Join(s.flush(ctx), s.recall(ctx, yield))
	}, yield)
}

func (q *queue) vouched(ctx context.Context, yield func(key [16]byte)) error {
	return q.read(func(s *shard, yield func([16]byte)) error { return s.vouched(ctx, yield) }, yield)
}

// read calls yield for what all shards have, also if some shards fail.
func (q *queue) read(from func(s *shard, yield func([16]byte)) error, yield func([16]byte)) error {
	var mu sync.Mutex
	return q.each(func(s *shard) error {
		return from(s, func(one [16]byte) {
			mu.Lock()
			defer mu.Unlock()
			yield(one)
		})
	})
}
