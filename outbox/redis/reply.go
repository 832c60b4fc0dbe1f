package redis

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

// errNonsense says that Redis answered what no script of ours does: it may be another server, or someone changed what is in it.
var errNonsense = errors.New("redis: an answer that makes no sense; is the url that of a Redis, and does nothing else write to its keys?")

// reply reads the values that a script returned, one after the other.
type reply struct {
	rest     []any
	nonsense bool // one was missing, or is of another type
}

func read(answer *redis.Cmd) *reply {
	values, err := answer.Slice()
	return &reply{rest: values, nonsense: err != nil}
}

// text is the next value; empty if that is none.
func (r *reply) text() string { return next[string](r) }

// number is the next value; 0 if that is none.
func (r *reply) number() int64 { return next[int64](r) }

func next[T any](r *reply) (value T) {
	ok := false
	if len(r.rest) > 0 {
		value, ok = r.rest[0].(T)
		r.rest = r.rest[1:]
	}
	r.nonsense = r.nonsense || !ok
	return value
}

// err is errNonsense if anything that was read so far was.
func (r *reply) err() error {
	if r.nonsense {
		return errNonsense
	}
	return nil
}
