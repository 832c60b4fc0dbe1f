package redis

import "context"

// The changes that the records went through are a set in Redis. Earlier gateways do not know it.

func (d *shelf) migrated(ctx context.Context, change string) (bool, error) {
	return run(ctx, d, func() (bool, error) { return d.Client.SIsMember(ctx, d.changes, change).Result() })
}

func (d *shelf) noteMigrated(ctx context.Context, change string) error {
	return d.do(ctx, func() error { return d.Client.SAdd(ctx, d.changes, change).Err() })
}
