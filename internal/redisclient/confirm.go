package redisclient

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxConfirms is how many batches a server confirms at the same time. They take connections from other commands.
	maxConfirms = 4
	// maxConfirm is how many writes a batch has at most.
	maxConfirm = 64
	// confirmRedirections is how often a write follows its slot to another node. The pauses between grow from confirmPause.
	confirmRedirections = 3
	confirmPause        = 100 * time.Millisecond
)

// A server confirms the writes of a connection, up to the latest one. So a write and the question are sent on one connection, in a
// pipeline. Writes that come while a server confirms others share the next pipeline.

// Write is a script, or nothing, whose effect a server confirms.
type Write struct {
	Script *redis.Script // nil to confirm only what was written before
	Keys   []string
	Args   []any
	// Token is a key in the slot of the others. It is set, since a script may find that there is nothing to write: another call may have
	// written it, and that is then confirmed.
	Token string
}

// confirmer has the writes that are to be confirmed.
type confirmer struct {
	mu    sync.Mutex
	lanes map[lane]*queue
	// how is the method for the disk that the latest server knew.
	how atomic.Bool
}

// lane is what the writes of a batch have in common.
type lane struct {
	server *redis.Client
	want   Acknowledge
}

// queue has the writes of a lane that wait.
type queue struct {
	waiting []*pending
	running int
}

// pending is a write whose caller waits. Once done is closed, the reply and the error are set.
type pending struct {
	Write

	ctx   context.Context //nolint:containedctx // a write is not sent if its caller no longer waits for it
	reply *redis.Cmd
	err   error
	done  chan struct{}
}

// Run runs a script as go-redis does, and returns when its effect is confirmed. If it only is not confirmed, the error is [ErrUnconfirmed],
// and the reply is there.
func (c *Client) Run(ctx context.Context, want Acknowledge, w Write) (reply *redis.Cmd, err error) {
	if !want.isAsked() {
		reply = w.Script.Run(ctx, c, w.Keys, w.Args...)
		return reply, reply.Err()
	}
	for n := 0; ; n++ {
		reply, err = c.runOnce(ctx, want, w)
		if c.cluster == nil || err == nil {
			return reply, err
		}
		c.cluster.ReloadState(ctx)
		if !answered(err, "MOVED", "ASK", "TRYAGAIN", "READONLY") {
			return reply, err
		}
		if n == confirmRedirections {
			return reply, fmt.Errorf("%w: %w", errNotNow, err)
		}
		select {
		case <-ctx.Done():
			return reply, fmt.Errorf("%w: %w", errNotNow, err)
		case <-time.After(confirmPause << n):
		}
	}
}

func (c *Client) runOnce(ctx context.Context, want Acknowledge, w Write) (*redis.Cmd, error) {
	server, err := c.On(ctx, w.Token)
	if err != nil {
		return nil, notSent{err}
	}
	p := &pending{Write: w, ctx: ctx, done: make(chan struct{})}
	c.confirms.add(lane{server, want}, p, c.options.ReadTimeout)
	select {
	case <-p.done:
		return p.reply, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// add has a write sent. Each server has a few goroutines while there are writes for it.
func (c *confirmer) add(l lane, p *pending, readTimeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.lanes[l]
	if q == nil {
		if c.lanes == nil {
			c.lanes = make(map[lane]*queue)
		}
		q = new(queue)
		c.lanes[l] = q
	}
	q.waiting = append(q.waiting, p)
	if q.running == maxConfirms {
		return
	}
	q.running++
	go func() {
		server := l.server.WithTimeout(confirmTime + readTimeout)
		for batch := c.next(l, q); len(batch) > 0; batch = c.next(l, q) {
			c.send(server, l.want, batch)
		}
	}()
}

// next returns the next batch; empty if there is nothing left.
func (c *confirmer) next(l lane, q *queue) (batch []*pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(q.waiting) > 0 && len(batch) < maxConfirm {
		if p := q.waiting[0]; p.ctx.Err() == nil {
			batch = append(batch, p)
		}
		q.waiting = q.waiting[1:]
	}
	if len(batch) > 0 {
		return batch
	}
	if q.running--; q.running == 0 {
		delete(c.lanes, l)
	}
	return nil
}

// send sends a batch, and again those writes whose script the server did not know.
func (c *confirmer) send(server *redis.Client, want Acknowledge, batch []*pending) {
	unknown := c.try(server, want, batch, false)
	c.try(server, want, unknown, true)
	for _, p := range batch {
		close(p.done)
	}
}

// try sends a batch, and returns the writes whose script the server does not know.
func (c *confirmer) try(server *redis.Client, want Acknowledge, batch []*pending, whole bool) (unknown []*pending) {
	if len(batch) == 0 {
		return nil
	}
	ctx, how := context.Background(), method(c.how.Load())
	pipe := server.Pipeline()
	tokens := make(map[string]*redis.StatusCmd)
	for _, p := range batch {
		switch {
		case p.Script == nil:
		case whole:
			p.reply = p.Script.Eval(ctx, pipe, p.Keys, p.Args...)
		default:
			p.reply = p.Script.EvalSha(ctx, pipe, p.Keys, p.Args...)
		}
		tokens[p.Token] = nil
	}
	for token := range tokens {
		tokens[token] = pipe.Set(ctx, token, "", 0)
	}
	answer := want.ask(ctx, pipe, how)
	_, _ = pipe.Exec(ctx) // each command has its error
	confirmed := want.confirmed(answer, how)
	if want.Disk && confirmed != nil {
		c.how.Store(how == waitAOF && answered(answer.Err(), unknownCommand))
	}
	for _, p := range batch {
		p.err = p.outcome(tokens[p.Token].Err(), confirmed)
		if p.reply != nil && answered(p.reply.Err(), "NOSCRIPT") {
			unknown = append(unknown, p)
		}
	}
	return unknown
}

// outcome returns the error of a write, after those of its token and of the confirmation.
func (p *pending) outcome(token, confirmed error) error {
	switch {
	case p.reply != nil && p.reply.Err() != nil:
		return p.reply.Err()
	case token != nil && p.reply == nil:
		return token
	case token != nil:
		return fmt.Errorf("%w: %s", ErrUnconfirmed, token.Error())
	default:
		return confirmed
	}
}
