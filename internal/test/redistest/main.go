package redistest

import (
	"testing"

	"go.uber.org/goleak"
)

// Main runs a package's tests, and wants all goroutines to end. After many connections have failed, a pool of go-redis tries one every
// second, and notices within a second that it was closed.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
