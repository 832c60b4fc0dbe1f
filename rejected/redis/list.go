package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// listTime bounds how long a page takes. Somebody waits for it, but no push.
	listTime = 5 * time.Second
	// maxCount bounds how many keys Redis looks at in one command, during which it does nothing else.
	maxCount = 1000
	// maxScans bounds the commands for a page. If few of the keys in Redis match, pages are short or empty.
	maxScans = 100
)

// glob escapes the special characters of patterns in Redis.
var glob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// list reads a page from one of the shards. The cursor is Redis' own, and is valid as long as that Redis runs. If there are several shards, it
// follows the number of the shard.
func (d *shelf) list(ctx context.Context, q rejected.Query, expire time.Duration) ([]rejected.Entry, string, error) {
	number, last, cursor, err := d.place(q)
	if err != nil {
		return nil, "", err
	}
	type page struct {
		entries []rejected.Entry
		next    string
	}
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	p, err := run(ctx, d, func() (p page, err error) {
		keys, after, err := d.scan(ctx, q, d.shards[number].records, cursor)
		if err != nil {
			return page{}, err
		}
		switch {
		case after > 0 && len(d.shards) == 1:
			p.next = strconv.FormatUint(after, 10)
		case after > 0:
			p.next = fmt.Sprintf("%d/%d", number, after)
		case number < last:
			p.next = fmt.Sprintf("%d/0", number+1)
		}
		p.entries, err = d.read(ctx, keys, expire)
		return p, err
	})
	return p.entries, p.next, err
}

// place checks a query, and returns the shard to read, the last one to read, and where Redis continues.
func (d *shelf) place(q rejected.Query) (number, last int, cursor uint64, err error) {
	if err := q.Check(); err != nil {
		return 0, 0, 0, err
	}
	first := rejected.Query{Prefix: q.Prefix}
	key, _ := first.From() // the first key with the prefix
	if last = len(d.shards) - 1; len(q.Prefix) >= redisclient.ShardDigits {
		number, last = d.of(key), d.of(key)
	}
	if q.Cursor == "" {
		return number, last, 0, nil
	}
	begin, rest := number, q.Cursor
	if len(d.shards) > 1 {
		var name string
		name, rest, _ = strings.Cut(q.Cursor, "/")
		if number, err = strconv.Atoi(name); err != nil || number < begin || number > last || strconv.Itoa(number) != name {
			return 0, 0, 0, rejected.ErrCursor
		}
	}
	cursor, err = strconv.ParseUint(rest, 10, 64)
	if err != nil || strconv.FormatUint(cursor, 10) != rest || cursor == 0 && number == begin {
		return 0, 0, 0, rejected.ErrCursor
	}
	return number, last, cursor, nil
}

// scan finds the keys of a page, and where to continue; 0 if that was all.
//
// It asks for as many keys as probably contain the ones that the page still lacks, because a step of SCAN must be used as a whole. The keys
// are hashes, so each digit of the prefix leaves one key of sixteen. It finds out what part of the keys in Redis are records.
func (d *shelf) scan(ctx context.Context, q rejected.Query, records string, cursor uint64) (keys []rejected.Key, next uint64, err error) {
	if key, ok := rejected.ParseKey(q.Prefix); ok {
		return []rejected.Key{key}, 0, nil // no search needed
	}
	pattern := glob.Replace(records) + q.Prefix + "*"
	stride := 1 // among how many keys of Redis one match is expected
	for range len(q.Prefix) {
		stride = min(16*stride, maxCount)
	}
	server, err := d.Client.On(ctx, records)
	if err != nil {
		return nil, 0, err
	}
	for range maxScans {
		count := min((q.Size()-len(keys))*stride, maxCount)
		names, after, err := server.Scan(ctx, cursor, pattern, int64(count)).Result()
		if err != nil {
			return nil, 0, err
		}
		before := len(keys)
		for _, name := range names {
			if key, ok := rejected.ParseKey(strings.TrimPrefix(name, records)); ok {
				keys = append(keys, key)
			}
		}
		cursor = after
		if cursor == 0 || len(keys) >= q.Size() {
			break
		}
		if len(keys) == before {
			stride = min(2*stride, maxCount)
		}
	}
	return keys, cursor, nil
}

// read returns the records of those keys that have one. It reads them from Redis and not from memory, but what this process saw counts.
func (d *shelf) read(ctx context.Context, keys []rejected.Key, expire time.Duration) (page []rejected.Entry, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	names, seen := make([]string, len(keys)), make([]time.Time, len(keys))
	for i, key := range keys {
		names[i], seen[i] = d.name(key), d.front.seen(key)
	}
	values, err := d.Client.MGet(ctx, names...).Result()
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		value, _ := values[i].(string)
		if r, _, ok := d.current(value, seen[i], expire); ok {
			page = append(page, rejected.Entry{Key: key, Record: r})
		}
	}
	return page, nil
}
