// Package revision describes changes of records for stores that keep them elsewhere: a function takes the present record and decides its
// fate.
package revision

import "github.com/matrix-push/caddy-matrix-push/rejected"

// Fate is what happens to a record.
type Fate int

// The fates of a record.
const (
	Keep Fate = iota
	Put
	Delete
)

// Acquit ends a record's suspicion, if there is one.
func Acquit(r rejected.Record) (rejected.Record, Fate) {
	if !r.Suspicion.Suspected() {
		return r, Keep
	}
	left, some := r.Acquit()
	if !some {
		return left, Delete
	}
	return left, Put
}
