package redisclient

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// notSent is the error of a command for which there was no connection.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// dials marks the errors of making a connection, which includes finding the primary and encrypting.
type dials struct{}

func (dials) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, notSent{err}
		}
		return conn, nil
	}
}

func (dials) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (dials) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A cluster client follows redirections, for which it repeats a command. It would also repeat one whose connection broke, although the
// node may have done what it was asked to do. So [nodes] hides such errors from it, and [redirections] uncovers them. Both apply only to
// commands of the cluster client: a node may also be asked directly.
type (
	nodes        struct{}
	redirections struct{ cluster *redis.ClusterClient }
)

// following is the key of the context of commands that follow redirections.
type following struct{}

// final is an error that go-redis does not recognize, and therefore returns.
type final struct{ err error }

func (f final) Error() string { return f.err.Error() }

// conceal hides an error that is not a server's answer.
func conceal(ctx context.Context, err error) error {
	var refusal redis.Error
	if err == nil || errors.As(err, &refusal) || ctx.Value(following{}) == nil {
		return err
	}
	return final{err}
}

func (nodes) DialHook(next redis.DialHook) redis.DialHook { return next }

func (nodes) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return conceal(ctx, next(ctx, cmd)) }
}

// ProcessPipelineHook is for a command after ASKING.
func (nodes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			cmd.SetErr(conceal(ctx, cmd.Err()))
		}
		return conceal(ctx, err)
	}
}

func (redirections) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook also lets the client find out whether another node has the slots now, if a node cannot be reached.
func (r redirections) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(context.WithValue(ctx, following{}, true), cmd)
		var hidden final
		if errors.As(err, &hidden) {
			err = hidden.err
			r.cluster.ReloadState(ctx)
		}
		return err
	}
}

func (redirections) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
