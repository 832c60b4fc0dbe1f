package gateway

import (
	"errors"
	"math"
	"strconv"
)

// integer is a whole number that may be written as a float (2.0) and may be larger than an int64, which it then stands for the
// largest of: some homeserver does each of these.
type integer int64

var errNotWhole = errors.New("not a whole number")

// UnmarshalJSON leaves null alone and refuses whatever is not a whole number.
func (i *integer) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*i = integer(n)
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64) // an overflow is ±Inf
	if b[0] == '"' || (err != nil && !math.IsInf(f, 0)) || (f != math.Trunc(f)) {
		return errNotWhole
	}
	switch {
	case f >= math.MaxInt64:
		*i = math.MaxInt64
	case f <= math.MinInt64:
		*i = math.MinInt64
	default:
		*i = integer(f)
	}
	return nil
}

// pointer is the number of a badge: never negative.
func (i *integer) pointer() *int64 {
	if i == nil {
		return nil
	}
	n := max(0, int64(*i))
	return &n
}

// millisecondsFrom is where a time in seconds would be in the year 5138: what is larger was sent in milliseconds, as Construct
// does.
const millisecondsFrom = 100_000_000_000

// milliseconds reads a pushkey_ts: seconds by the specification.
func (i integer) milliseconds() int64 {
	switch {
	case i <= 0:
		return 0
	case i > millisecondsFrom:
		return int64(i)
	default:
		return int64(i) * 1000
	}
}
