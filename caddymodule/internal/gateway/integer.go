package gateway

import (
	"errors"
	"math"
	"strconv"
)

// integer is a whole number. It may be written as a float (2.0), and a number larger than an int64 becomes the largest int64: some
// homeservers send either.
type integer int64

var errNotWhole = errors.New("not a whole number")

// UnmarshalJSON ignores null, and refuses anything that is not a whole number.
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

// pointer returns the number of a badge, which is never negative.
func (i *integer) pointer() *int64 {
	if i == nil {
		return nil
	}
	n := max(0, int64(*i))
	return &n
}

// millisecondsFrom is the year 5138 in seconds. A larger number was sent in milliseconds, as Construct does.
const millisecondsFrom = 100_000_000_000

// milliseconds converts a pushkey_ts, which is in seconds by the specification.
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
