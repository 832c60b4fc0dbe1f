package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	store "github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/file"
)

// rejectedAt is when the records were made and last used. It is so late that they never expire, however old the file is.
var rejectedAt = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// makeRecords returns the file of a rejected store in which the first n pushkeys of APNs are dead. Millions of them take a minute, so the file is
// kept for all servers and all runs of the program. It is in the folder, if there is one, and otherwise in the user's cache.
func makeRecords(ctx context.Context, folder string, n int, out io.Writer) (path string, err error) {
	if folder == "" {
		if folder, err = os.UserCacheDir(); err != nil {
			return "", err
		}
		folder = filepath.Join(folder, "caddy-matrix-push-loadtest")
	}
	path = filepath.Join(folder, fmt.Sprintf("rejected-%d.db", n))
	if _, err := os.Stat(path); err == nil {
		fmt.Fprintf(out, "using the records in %s\n", path)
		return path, nil
	}
	fmt.Fprintf(out, "making %d records in %s\n", n, path)
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := rejectAll(ctx, unfinished, deadKeys(n)); err != nil {
		return "", errors.Join(fmt.Errorf("making records: %w", err), os.Remove(unfinished))
	}
	return path, os.Rename(unfinished, path)
}

// deadKeys returns the keys of the devices, in the order in which the store has them.
func deadKeys(n int) []store.Key {
	keys := make([]store.Key, n)
	for i := range keys {
		keys[i] = store.KeyOf(appID, apnsPushkey(i))
	}
	slices.SortFunc(keys, func(a, b store.Key) int { return bytes.Compare(a[:], b[:]) })
	return keys
}

// rejecters is how many verdicts arrive at the same time: as many as the store writes in one transaction, and the next ones meanwhile.
const rejecters = 4000

// rejectAll makes the file in the same way as the gateway. It is fast because the keys are in order: a transaction changes few pages.
func rejectAll(ctx context.Context, path string, keys []store.Key) (err error) {
	scope, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	defer cancel()
	s := &file.Store{Path: path}
	defer func() { err = errors.Join(err, s.Cleanup()) }()
	if err := s.Provision(scope); err != nil {
		return err
	}
	if err := s.Open(ctx); err != nil {
		return err
	}
	verdict := store.Verdict{App: appID, Reason: "unregistered", PushkeyTS: pushkeyTS * 1000, At: rejectedAt}
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, rejecters)
	for range min(rejecters, len(keys)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(keys)); i = next.Add(1) - 1 {
				if err := errors.Join(ctx.Err(), s.Reject(ctx, keys[i], verdict)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}
