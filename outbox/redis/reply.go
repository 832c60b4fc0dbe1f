package redis

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

// errNonsense means that Redis gave an answer that no script of ours gives. It may be another server, or somebody changed the data in it.
var errNonsense = errors.New("redis: unexpected answer; check that the url is a Redis, and that nothing else writes to the gateway's keys")

// reply reads the values that a script returned, one after the other.
type reply struct {
	rest     []any
	nonsense bool // a value was missing, or had another type
}

func read(answer *redis.Cmd) *reply {
	values, err := answer.Slice()
	return &reply{rest: values, nonsense: err != nil}
}

// text returns the next value; empty if it is not a string.
func (r *reply) text() string { return next[string](r) }

// number returns the next value; 0 if it is not a number.
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

// err returns errNonsense if any value so far was missing or had another type.
func (r *reply) err() error {
	if r.nonsense {
		return errNonsense
	}
	return nil
}
